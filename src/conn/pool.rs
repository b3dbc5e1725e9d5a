//! Large buffers that are used again: a fresh megabyte costs 256 page faults, a used one none.
//!
//! Buffers keep their length, so that they are initialised memory that can be read into.

use parking_lot::Mutex;

/// Buffers of these sizes are kept; anything larger than the last is not.
const CLASSES: [usize; 4] = [64 << 10, 256 << 10, (1 << 20) + (64 << 10), (8 << 20) + (128 << 10)];
/// How many of each class are kept when nobody uses them.
const KEPT: [usize; 4] = [64, 16, 32, 4];

static POOL: [Mutex<Vec<Vec<u8>>>; 4] =
    [Mutex::new(Vec::new()), Mutex::new(Vec::new()), Mutex::new(Vec::new()), Mutex::new(Vec::new())];

/// Bytes from the pool; they go back when dropped. Their content is whatever was there before.
#[derive(Debug, Default)]
pub struct PoolBuf {
    bytes: Vec<u8>,
}

impl PoolBuf {
    /// At least `len` bytes.
    pub fn take(len: usize) -> PoolBuf {
        let Some(class) = CLASSES.iter().position(|&c| len <= c) else {
            return PoolBuf { bytes: vec![0; len] };
        };
        let used = POOL[class].lock().pop();
        PoolBuf { bytes: used.unwrap_or_else(|| vec![0; CLASSES[class]]) }
    }

    /// A buffer of one's own, that does not go to the pool unless it has a pool size.
    pub fn copy_of(bytes: &[u8]) -> PoolBuf {
        PoolBuf { bytes: bytes.to_vec() }
    }
}

impl Drop for PoolBuf {
    fn drop(&mut self) {
        if let Some(class) = CLASSES.iter().position(|&c| self.bytes.len() == c) {
            let mut kept = POOL[class].lock();
            if kept.len() < KEPT[class] {
                kept.push(std::mem::take(&mut self.bytes));
            }
        }
    }
}

impl std::ops::Deref for PoolBuf {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        &self.bytes
    }
}

impl std::ops::DerefMut for PoolBuf {
    fn deref_mut(&mut self) -> &mut [u8] {
        &mut self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_is_at_least_as_long_as_asked() {
        for len in [0, 1, 65536, 65537, 1 << 20, 9 << 20] {
            assert!(PoolBuf::take(len).len() >= len);
        }
    }
}
