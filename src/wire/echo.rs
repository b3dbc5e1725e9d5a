//! ECHO (MS-SMB2 2.2.28, 2.2.29).

empty_body! {
    /// MS-SMB2 2.2.28.
    EchoRequest = "ECHO request";
    /// MS-SMB2 2.2.29.
    EchoResponse = "ECHO response";
}
