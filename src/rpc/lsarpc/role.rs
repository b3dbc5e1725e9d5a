//! Directory services setup (MS-DSSP), which Windows asks through the same pipe: is this a domain's machine?

use crate::rpc::association::{Service, Stateless};
use crate::rpc::ndr::{NdrReader, NdrWriter};
use crate::rpc::pdu::{Fault, Syntax};
use crate::rpc::{Context, win32};
use crate::types::Guid;

/// MS-DSSP 1.9.
pub static SERVICE: Service = Service {
    interface: Syntax::new(0x3919_286A, 0xB10C, 0x11D0, [0x9B, 0xA8, 0x00, 0xC0, 0x4F, 0xD9, 0x2E, 0xF5], 0),
    blocks: false,
    calls: || Box::new(Stateless(call)),
};

/// DsRolePrimaryDomainInfoBasic, DsRoleUpgradeStatus, DsRoleOperationState (MS-DSSP 2.2.2).
const BASIC: u16 = 1;
const UPGRADE: u16 = 2;
const OPERATION: u16 = 3;
/// DsRole_RoleStandaloneServer.
const STANDALONE: u16 = 2;

fn call(context: &Context, opnum: u16, r: &mut NdrReader<'_>) -> Result<Vec<u8>, Fault> {
    match opnum {
        0 => primary_domain(context, r),
        // Local only on Windows (MS-DSSP 3.2.5).
        1..=11 => Err(Fault::ACCESS_DENIED),
        _ => Err(Fault::OP_RNG_ERROR),
    }
}

/// DsRolerGetPrimaryDomainInformation.
fn primary_domain(context: &Context, r: &mut NdrReader<'_>) -> Result<Vec<u8>, Fault> {
    let level = r.u16()?;
    let mut w = NdrWriter::new();
    if !(BASIC..=OPERATION).contains(&level) {
        w.pointer(false);
        return Ok(w.finish(win32::INVALID_PARAMETER));
    }
    w.parameter(|w| {
        w.u16(level);
        match level {
            BASIC => {
                w.align(4);
                w.u16(STANDALONE);
                w.u32(0);
                w.text(&context.domain);
                w.pointer(false);
                w.pointer(false);
                w.guid(Guid::default());
            }
            // No upgrade is under way, and was none before.
            UPGRADE => {
                w.u32(0);
                w.u16(0);
            }
            // Nor a change of role.
            _ => w.u16(0),
        }
    });
    Ok(w.finish(win32::SUCCESS))
}
