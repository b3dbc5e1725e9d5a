//! NET_API_STATUS values (MS-ERREF 2.2, MS-SRVS 2.2.2.10).

pub const SUCCESS: u32 = 0;
pub const ACCESS_DENIED: u32 = 5;
pub const INVALID_PARAMETER: u32 = 87;
pub const INVALID_NAME: u32 = 123;
pub const INVALID_LEVEL: u32 = 124;
pub const MORE_DATA: u32 = 234;
pub const NERR_NET_NAME_NOT_FOUND: u32 = 2310;
pub const NERR_DEVICE_NOT_SHARED: u32 = 2311;
/// PLATFORM_ID_NT.
pub const PLATFORM_NT: u32 = 500;
/// The Windows version we are taken for.
pub const VERSION: (u32, u32) = (10, 0);
