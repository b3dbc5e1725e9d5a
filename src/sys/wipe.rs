//! Clearing memory that held a key, for types that do not do it themselves.

use zeroize::Zeroize;

/// Overwrites `value` with zeros, which the compiler may not leave out. Nobody may look at it afterwards: it is
/// called as the last thing that happens to it.
pub(super) fn wipe<T>(value: &mut T) {
    let bytes = std::ptr::from_mut(value).cast::<std::mem::MaybeUninit<u8>>();
    // SAFETY: all of the value, which is ours alone. What has no meaning as zeros is not used again.
    let bytes = unsafe { std::slice::from_raw_parts_mut(bytes, size_of::<T>()) };
    bytes.zeroize();
}

/// A value in memory of its own that is cleared after the value has been dropped.
pub struct Wiped<T>(Box<std::mem::ManuallyDrop<T>>);

impl<T> Wiped<T> {
    pub fn new(value: T) -> Wiped<T> {
        Wiped(Box::new(std::mem::ManuallyDrop::new(value)))
    }
}

impl<T> std::ops::Deref for Wiped<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T> Drop for Wiped<T> {
    fn drop(&mut self) {
        // SAFETY: dropped once, here, and never used again; the box only frees its memory.
        unsafe { std::mem::ManuallyDrop::drop(&mut self.0) };
        wipe(&mut *self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_left() {
        let mut key = [0x5A_u8; 37];
        wipe(&mut key);
        assert_eq!(key, [0; 37]);
    }

    #[test]
    fn what_is_wiped_is_dropped_once() {
        let shared = std::rc::Rc::new(());
        let wiped = Wiped::new(shared.clone());
        assert_eq!(std::rc::Rc::strong_count(&wiped), 2);
        drop(wiped);
        assert_eq!(std::rc::Rc::strong_count(&shared), 1);
    }
}
