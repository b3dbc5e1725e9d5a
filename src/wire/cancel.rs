//! CANCEL (MS-SMB2 2.2.30). It has no response.

empty_body! {
    /// MS-SMB2 2.2.30.
    CancelRequest = "CANCEL request";
}
