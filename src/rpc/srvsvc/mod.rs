//! Server service (MS-SRVS), as much as clients need to list shares and to show a server.

mod server;
mod shares;

use super::association::{Service, Stateless};
use super::ndr::{NdrReader, NdrWriter};
use super::pdu::{Fault, Syntax};
use super::{Context, win32};

/// MS-SRVS 1.9.
pub static SERVICE: Service = Service {
    interface: Syntax::new(0x4B32_4FC8, 0x1670, 0x01D3, [0x12, 0x78, 0x5A, 0x47, 0xBF, 0x6E, 0xE1, 0x88], 3),
    blocks: false,
    calls: || Box::new(Stateless(call)),
};

/// The highest opnum of MS-SRVS 3.1.4.
const LAST_OPNUM: u16 = 57;

fn call(context: &Context, opnum: u16, r: &mut NdrReader<'_>) -> Result<Vec<u8>, Fault> {
    match opnum {
        // NetrConnectionEnum, NetrFileEnum, NetrSessionEnum.
        8 => refuse_enum(r, 2, &[0, 1]),
        9 => refuse_enum(r, 3, &[2, 3]),
        12 => refuse_enum(r, 3, &[0, 1, 2, 10, 502]),
        15 => shares::enumerate(context, r, false),
        16 => shares::info(context, r),
        20 => shares::check(r),
        21 => server::info(context, r),
        28 => server::time_of_day(r),
        33 => server::validate_name(r),
        // NetrShareEnumSticky: shares that outlive a restart.
        36 => shares::enumerate(context, r, true),
        // Opnums that are reserved (MS-SRVS 3.1.4).
        0..=7 | 29 | 42 | 47 => Err(Fault::OP_RNG_ERROR),
        10..=LAST_OPNUM => Err(Fault::ACCESS_DENIED),
        _ => Err(Fault::OP_RNG_ERROR),
    }
}

/// The lists of what others do here: for administrators on Windows, for nobody here. `names`: how many
/// unique strings stand before the InfoStruct.
fn refuse_enum(r: &mut NdrReader<'_>, names: usize, levels: &[u32]) -> Result<Vec<u8>, Fault> {
    for _ in 0..names {
        r.unique_string()?;
    }
    let level = r.u32()?;
    let mut w = NdrWriter::new();
    w.u32(level);
    w.u32(level);
    w.pointer(false);
    w.u32(0);
    w.unique_u32(None);
    Ok(w.finish(if levels.contains(&level) { win32::ACCESS_DENIED } else { win32::INVALID_LEVEL }))
}
