//! Shares: enumeration and info (MS-SRVS 3.1.4.8, 3.1.4.10, 3.1.4.14).

use crate::rpc::ndr::{NdrReader, NdrWriter};
use crate::rpc::pdu::Fault;
use crate::rpc::{Context, ShareEntry, ShareKind, win32};

/// What one answer may take, whatever the client would take: answers wait in memory.
const MAX_ANSWER: u32 = 512 * 1024;

/// STYPE (MS-SRVS 2.2.2.4): special shares are those made for the system's own use.
fn share_type(share: &ShareEntry) -> u32 {
    match share.kind {
        ShareKind::Disk => 0,
        ShareKind::Ipc => 0x8000_0003,
    }
}

fn is_list_level(level: u32, sticky: bool) -> bool {
    match level {
        0 | 1 | 2 | 502 | 503 => true,
        501 => !sticky,
        _ => false,
    }
}

/// The fixed part of SHARE_INFO_`level` (MS-SRVS 2.2.4.22 to 2.2.4.33). Only administrators see where a
/// share lies and who may enter it.
fn entry(w: &mut NdrWriter, level: u32, context: &Context, share: &ShareEntry) {
    let admin = context.administrator;
    let descriptor: &[u8] = if admin { &share.security_descriptor } else { &[] };
    let max_uses = share.max_uses.unwrap_or(u32::MAX);
    match level {
        1004 => return w.text(&share.comment),
        1005 => return w.u32(share.flags),
        1006 => return w.u32(max_uses),
        1501 => return w.sized_bytes(descriptor),
        _ => w.text(&share.name),
    }
    if level == 0 {
        return;
    }
    w.u32(share_type(share));
    w.text(&share.comment);
    match level {
        501 => w.u32(share.flags),
        2 | 502 | 503 => {
            w.u32(0);
            w.u32(max_uses);
            w.u32(share.current_uses);
            w.text(if admin { &share.path } else { "" });
            w.pointer(false);
            if level == 503 {
                // "*": every name of the server.
                w.text("*");
            }
            if level != 2 {
                w.sized_bytes(descriptor);
            }
        }
        _ => {}
    }
}

/// About what an entry takes, for PreferedMaximumLength.
fn cost(share: &ShareEntry, level: u32) -> u32 {
    let text = |s: &str| 20 + 2 * s.len();
    let fixed = 44 + text(&share.name) + text(&share.comment);
    let more =
        if matches!(level, 2 | 502 | 503) { text(&share.path) + share.security_descriptor.len() } else { 0 };
    u32::try_from(fixed + more).unwrap_or(u32::MAX)
}

/// NetrShareEnum and NetrShareEnumSticky, which tells of what an administrator has shared: not of IPC$. The resume handle is the number of shares already told.
pub fn enumerate(context: &Context, r: &mut NdrReader<'_>, sticky: bool) -> Result<Vec<u8>, Fault> {
    r.unique_string()?;
    let level = r.u32()?;
    let switch = r.u32()?;
    let mut w = NdrWriter::new();
    w.u32(level);
    w.u32(level);
    if !is_list_level(level, sticky) {
        w.pointer(false);
        w.u32(0);
        w.unique_u32(None);
        return Ok(w.finish(win32::INVALID_LEVEL));
    }
    if switch != level {
        return Err(Fault::BAD_STUB_DATA);
    }
    if r.pointer()? {
        // The container that comes in is empty: its count, and a buffer that clients leave null.
        r.u32()?;
        if r.pointer()? {
            return Err(Fault::BAD_STUB_DATA);
        }
    }
    let budget = r.u32()?.min(MAX_ANSWER);
    let resume = r.unique_u32()?;

    let told = resume.unwrap_or(0) as usize;
    let tells = |s: &&ShareEntry| !s.hidden && (!sticky || s.kind == ShareKind::Disk);
    let listed = || context.shares.iter().filter(tells).skip(told);
    let total = listed().count();
    let mut room = budget;
    let mut fits = |share: &ShareEntry| {
        let left = room.checked_sub(cost(share, level));
        room = left.unwrap_or(0);
        left.is_some()
    };
    // One at least, or a client with a small budget would ask for ever.
    let count = listed().enumerate().take_while(|(i, s)| fits(s) || *i == 0).count();

    w.pointer(true);
    w.u32(count as u32);
    w.pointer(count != 0);
    if count != 0 {
        w.u32(count as u32);
        listed().take(count).for_each(|share| entry(&mut w, level, context, share));
        w.pointees();
    }
    w.u32(total as u32);
    let whole = count == total;
    w.unique_u32(resume.map(|_| if whole { 0 } else { (told + count) as u32 }));
    Ok(w.finish(if whole { win32::SUCCESS } else { win32::MORE_DATA }))
}

/// NetrShareGetInfo: hidden shares too, by name without case.
pub fn info(context: &Context, r: &mut NdrReader<'_>) -> Result<Vec<u8>, Fault> {
    r.unique_string()?;
    let name = r.string()?;
    let level = r.u32()?;
    let known = is_list_level(level, false) || matches!(level, 1004 | 1005 | 1006 | 1501);
    let share = context.shares.iter().find(|s| s.name.to_lowercase() == name.to_lowercase());
    let mut w = NdrWriter::new();
    w.u32(level);
    let status = match share {
        Some(share) if known => {
            w.pointer(true);
            entry(&mut w, level, context, share);
            return Ok(w.finish(win32::SUCCESS));
        }
        None if known => win32::NERR_NET_NAME_NOT_FOUND,
        _ => win32::INVALID_LEVEL,
    };
    w.pointer(false);
    Ok(w.finish(status))
}

/// NetrShareCheck: is a device shared? We share directories.
pub fn check(r: &mut NdrReader<'_>) -> Result<Vec<u8>, Fault> {
    r.unique_string()?;
    r.string()?;
    let mut w = NdrWriter::new();
    w.u32(0);
    Ok(w.finish(win32::NERR_DEVICE_NOT_SHARED))
}
