//! Workstation service (MS-WKST), the part that browsing clients ask.

use super::association::{Service, Stateless};
use super::ndr::{NdrReader, NdrWriter};
use super::pdu::{Fault, Syntax};
use super::{Context, win32};

/// MS-WKST 1.9.
pub static SERVICE: Service = Service {
    interface: Syntax::new(0x6BFF_D098, 0xA112, 0x3610, [0x98, 0x33, 0x46, 0xC3, 0xF8, 0x7E, 0x34, 0x5A], 1),
    blocks: false,
    calls: || Box::new(Stateless(call)),
};

/// The highest opnum of MS-WKST 3.2.4.
const LAST_OPNUM: u16 = 30;

fn call(context: &Context, opnum: u16, r: &mut NdrReader<'_>) -> Result<Vec<u8>, Fault> {
    match opnum {
        0 => workstation_info(context, r),
        1..=LAST_OPNUM => Err(Fault::ACCESS_DENIED),
        _ => Err(Fault::OP_RNG_ERROR),
    }
}

/// NetrWkstaGetInfo (MS-WKST 3.2.4.1), levels 100, 101 and 102.
fn workstation_info(context: &Context, r: &mut NdrReader<'_>) -> Result<Vec<u8>, Fault> {
    r.unique_string()?;
    let level = r.u32()?;
    let mut w = NdrWriter::new();
    w.u32(level);
    if !matches!(level, 100..=102) {
        w.pointer(false);
        return Ok(w.finish(win32::INVALID_LEVEL));
    }
    w.pointer(true);
    w.u32(win32::PLATFORM_NT);
    w.text(&context.server_name);
    w.text(&context.domain);
    w.u32(win32::VERSION.0);
    w.u32(win32::VERSION.1);
    if level >= 101 {
        w.text("");
    }
    if level == 102 {
        w.u32(context.users);
    }
    Ok(w.finish(win32::SUCCESS))
}
