//! FILETIME (MS-DTYP 2.3.3).

/// 100-nanosecond intervals since 1601-01-01T00:00:00Z. Zero means "not given".
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Debug)]
pub struct FileTime(pub u64);

/// Seconds from 1601 to 1970.
const EPOCH_SECONDS: i64 = 11_644_473_600;
const TICKS: i64 = 10_000_000;

impl FileTime {
    pub const ZERO: FileTime = FileTime(0);

    /// From a Unix time. Times before 1601 become the first tick.
    pub const fn from_unix(seconds: i64, nanos: u32) -> FileTime {
        let ticks = (seconds as i128 + EPOCH_SECONDS as i128) * TICKS as i128 + (nanos / 100) as i128;
        if ticks <= 0 {
            FileTime(1)
        } else if ticks > i64::MAX as i128 {
            FileTime(i64::MAX as u64)
        } else {
            FileTime(ticks as u64)
        }
    }

    /// To Unix seconds and nanoseconds. Values beyond the signed range are clamped.
    pub const fn to_unix(self) -> (i64, u32) {
        let ticks = if self.0 > i64::MAX as u64 { i64::MAX } else { self.0 as i64 };
        (ticks.div_euclid(TICKS) - EPOCH_SECONDS, (ticks.rem_euclid(TICKS) * 100) as u32)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_unix_epoch() {
        assert_eq!(FileTime::from_unix(0, 0), FileTime(116_444_736_000_000_000));
        assert_eq!(FileTime(116_444_736_000_000_000).to_unix(), (0, 0));
    }

    #[test]
    fn before_the_epoch_and_back() {
        let t = FileTime::from_unix(-1, 999_999_900);
        assert_eq!(t.to_unix(), (-1, 999_999_900));
    }
}
