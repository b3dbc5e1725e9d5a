//! TREE_DISCONNECT (MS-SMB2 2.2.11, 2.2.12).

empty_body! {
    /// MS-SMB2 2.2.11.
    TreeDisconnectRequest = "TREE_DISCONNECT request";
    /// MS-SMB2 2.2.12.
    TreeDisconnectResponse = "TREE_DISCONNECT response";
}
