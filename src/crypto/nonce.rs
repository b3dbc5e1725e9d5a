//! Nonces for sealing.

use std::sync::atomic::{AtomicU64, Ordering};

/// Gives nonces that never repeat: one source per sealing key, shared by all threads of the session.
#[derive(Debug)]
pub struct NonceSource {
    counter: AtomicU64,
    salt: [u8; 3],
}

/// Far from where the counter could wrap, however many threads run past it.
const LIMIT: u64 = 1 << 63;

impl Default for NonceSource {
    fn default() -> Self {
        NonceSource::new()
    }
}

impl NonceSource {
    /// A source for a fresh key.
    pub fn new() -> NonceSource {
        let mut salt = [0; 3];
        // Uniqueness comes from the counter; the salt only guards against a key that is used twice.
        let _ = getrandom::fill(&mut salt);
        NonceSource { counter: AtomicU64::new(0), salt }
    }

    /// The Nonce field of the next transform header: 11 bytes that differ each time, then zeros, so that
    /// it serves CCM (11 bytes) and GCM (12 bytes) alike. None: exhausted, the session must end.
    pub fn next(&self) -> Option<[u8; 16]> {
        let n = self.counter.fetch_add(1, Ordering::Relaxed);
        if n >= LIMIT {
            return None;
        }
        let mut out = [0; 16];
        out[..8].copy_from_slice(&n.to_le_bytes());
        out[8..11].copy_from_slice(&self.salt);
        Some(out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn threads_never_share_a_nonce() {
        let source = NonceSource::new();
        let mut all = HashSet::new();
        std::thread::scope(|s| {
            let threads: Vec<_> = (0..4)
                .map(|_| s.spawn(|| (0..10_000).map(|_| source.next().unwrap()).collect::<Vec<_>>()))
                .collect();
            for t in threads {
                for nonce in t.join().unwrap() {
                    assert_eq!(nonce[11..], [0; 5]);
                    assert!(all.insert(nonce));
                }
            }
        });
    }

    #[test]
    fn an_exhausted_source_stays_exhausted() {
        let source = NonceSource { counter: AtomicU64::new(LIMIT - 1), salt: [0; 3] };
        assert!(source.next().is_some());
        assert!(source.next().is_none());
        assert!(source.next().is_none());
    }
}
