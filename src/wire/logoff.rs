//! LOGOFF (MS-SMB2 2.2.7, 2.2.8).

empty_body! {
    /// MS-SMB2 2.2.7.
    LogoffRequest = "LOGOFF request";
    /// MS-SMB2 2.2.8.
    LogoffResponse = "LOGOFF response";
}
