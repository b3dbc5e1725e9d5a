//! SP800-108 KDF in counter mode with HMAC-SHA256 (MS-SMB2 3.1.4.2).
