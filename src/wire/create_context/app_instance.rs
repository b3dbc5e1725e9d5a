//! Application instances, of cluster failover.

use super::simple::exactly;
use super::{CreateContext, name};
use crate::types::Guid;
use crate::wire::codec::{DecodeError, Result};

/// MS-SMB2 2.2.13.2.13.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct AppInstanceId {
    pub app_instance_id: Guid,
}

impl AppInstanceId {
    pub fn decode(data: &[u8]) -> Result<Self> {
        const WHAT: &str = "AppInstanceId";
        let mut r = exactly(data, 20, WHAT)?;
        if r.u16(WHAT)? != 20 {
            return Err(DecodeError::new(WHAT));
        }
        r.skip(2, WHAT)?;
        Ok(AppInstanceId { app_instance_id: r.guid(WHAT)? })
    }

    pub fn to_context(&self) -> CreateContext<'static> {
        CreateContext::of(name::APP_INSTANCE_ID, |w| {
            w.u16(20);
            w.u16(0);
            w.guid(self.app_instance_id);
        })
    }
}

/// MS-SMB2 2.2.13.2.15.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct AppInstanceVersion {
    pub app_instance_version_high: u64,
    pub app_instance_version_low: u64,
}

impl AppInstanceVersion {
    pub fn decode(data: &[u8]) -> Result<Self> {
        const WHAT: &str = "AppInstanceVersion";
        let mut r = exactly(data, 24, WHAT)?;
        if r.u16(WHAT)? != 24 {
            return Err(DecodeError::new(WHAT));
        }
        r.skip(6, WHAT)?;
        Ok(AppInstanceVersion {
            app_instance_version_high: r.u64(WHAT)?,
            app_instance_version_low: r.u64(WHAT)?,
        })
    }

    pub fn to_context(&self) -> CreateContext<'static> {
        CreateContext::of(name::APP_INSTANCE_VERSION, |w| {
            w.u16(24);
            w.zeros(6);
            w.u64(self.app_instance_version_high);
            w.u64(self.app_instance_version_low);
        })
    }
}
