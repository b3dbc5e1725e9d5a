//! The server itself: info, time of day, names (MS-SRVS 3.1.4.17, 3.1.4.21, 3.1.4.28).

use crate::rpc::ndr::{NdrReader, NdrWriter};
use crate::rpc::pdu::Fault;
use crate::rpc::{Context, win32};

/// SV_TYPE (MS-SRVS 2.2.2.7): workstation, server, NT, NT server, not a domain controller.
const SERVER_TYPE: u32 = 0x0000_0001 | 0x0000_0002 | 0x0000_1000 | 0x0000_8000;

/// NetrServerGetInfo, levels 100, 101 and 102.
pub fn info(context: &Context, r: &mut NdrReader<'_>) -> Result<Vec<u8>, Fault> {
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
    if level >= 101 {
        w.u32(win32::VERSION.0);
        w.u32(win32::VERSION.1);
        w.u32(SERVER_TYPE);
        w.text(&context.server_comment);
    }
    if level == 102 {
        // Users and the auto-disconnect time: no limit to either. Visible; announce period and its
        // randomness as Windows has them; licenses; no path for users.
        let (unlimited, never) = (u32::MAX, u32::MAX);
        for field in [unlimited, never, 0, 240, 3000, 0] {
            w.u32(field);
        }
        w.text("");
    }
    Ok(w.finish(win32::SUCCESS))
}

/// TIME_OF_DAY_INFO (MS-SRVS 2.2.4.105) of a Unix time, in UTC.
fn civil(seconds: u64, nanos: u32) -> [u32; 12] {
    let (days, of_day) = (seconds / 86_400, seconds % 86_400);
    // Days from 0000-03-01 in 400-year eras: March first makes the leap day the last of a year.
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let march_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * march_month + 2) / 5 + 1;
    let month = if march_month < 10 { march_month + 3 } else { march_month - 9 };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    [
        seconds as u32,
        (seconds % 4_000_000 * 1000) as u32 + nanos / 1_000_000,
        (of_day / 3600) as u32,
        (of_day / 60 % 60) as u32,
        (of_day % 60) as u32,
        nanos / 10_000_000,
        0,
        // Clock interval, 10,000ths of a second.
        310,
        day as u32,
        month as u32,
        year as u32,
        ((days + 4) % 7) as u32,
    ]
}

/// NetrRemoteTOD.
pub fn time_of_day(r: &mut NdrReader<'_>) -> Result<Vec<u8>, Fault> {
    r.unique_string()?;
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    let mut w = NdrWriter::new();
    w.pointer(true);
    civil(now.as_secs(), now.subsec_nanos()).into_iter().for_each(|field| w.u32(field));
    Ok(w.finish(win32::SUCCESS))
}

/// NetprNameValidate (MS-SRVS 3.1.4.31).
pub fn validate_name(r: &mut NdrReader<'_>) -> Result<Vec<u8>, Fault> {
    r.unique_string()?;
    let name = r.string()?;
    let kind = r.u32()?;
    let old = r.u32()? & 0x8000_0000 != 0;
    let status = match name_limit(kind, old) {
        None => win32::INVALID_PARAMETER,
        Some(max) if is_name(&name, max) => win32::SUCCESS,
        Some(_) => win32::INVALID_NAME,
    };
    Ok(NdrWriter::new().finish(status))
}

/// The longest name of a NameType in UTF-16 units; `old`: by LAN Manager 2.0 rules.
const fn name_limit(kind: u32, old: bool) -> Option<usize> {
    Some(match (kind, old) {
        // User, group, service, event.
        (1 | 3 | 5 | 7, false) => 256,
        (1 | 3 | 5 | 7, true) => 20,
        // Computer, domain, message destination, workgroup.
        (4 | 6 | 11 | 13, _) => 15,
        // Passwords.
        (2, false) => 256,
        (2, true) => 14,
        (12, _) => 8,
        // Network.
        (8, _) => 260,
        // Share.
        (9, false) => 80,
        (9, true) => 12,
        // Message.
        (10, _) => 15,
        _ => return None,
    })
}

fn is_name(name: &str, max: usize) -> bool {
    let bad = |c: char| c.is_control() || "\"/\\[]:|<>+=;,*?".contains(c);
    let len = name.encode_utf16().count();
    (1..=max).contains(&len) && !name.contains(bad) && !name.ends_with(' ')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn civil_dates() {
        let date = |seconds| {
            let t = civil(seconds, 0);
            (t[10], t[9], t[8], t[2], t[3], t[4], t[11])
        };
        assert_eq!(date(0), (1970, 1, 1, 0, 0, 0, 4));
        assert_eq!(date(951_782_400 + 3661), (2000, 2, 29, 1, 1, 1, 2));
        assert_eq!(date(1_735_689_599), (2024, 12, 31, 23, 59, 59, 2));
        assert_eq!(date(4_107_542_400), (2100, 3, 1, 0, 0, 0, 1));
    }

    #[test]
    fn share_names() {
        assert!(is_name("media", 80) && is_name("a b", 80) && is_name("c$", 80));
        assert!(!is_name("", 80) && !is_name("a/b", 80) && !is_name("abcdefghijklm", 12));
    }
}
