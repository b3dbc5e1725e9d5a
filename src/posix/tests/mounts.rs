//! Mounts that vanish and come back.

use nix::mount::{MntFlags, MsFlags, mount, umount2};

use super::*;

struct Mounted(PathBuf);

impl Mounted {
    fn tmpfs(at: &Path) -> Option<Mounted> {
        mount(Some("tmpfs"), at, Some("tmpfs"), MsFlags::empty(), None::<&str>).ok()?;
        Some(Mounted(at.to_owned()))
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = umount2(&self.0, MntFlags::MNT_DETACH);
    }
}

#[test]
fn a_vanished_mount_is_an_error_and_may_come_back() {
    let dir = tempfile::tempdir().unwrap();
    if !is_root() {
        return;
    }
    let Some(mounted) = Mounted::tmpfs(dir.path()) else { return };
    std::fs::write(dir.path().join("f"), "1").unwrap();
    let export = Export::open(dir.path(), Policy::default()).unwrap();
    assert_eq!(export.facts().fs_type, "tmpfs");
    assert_eq!(export.facts().locality, Locality::Local);
    export.check().unwrap();
    drop(mounted);
    assert_eq!(export.check(), Err(NtStatus::DEVICE_DOES_NOT_EXIST));
    let f = SmbPath::parse("f").unwrap();
    assert_eq!(err(export.lookup(&f, Last::Follow)), NtStatus::DEVICE_DOES_NOT_EXIST);
    let root = export.lookup(&SmbPath::root(), Last::Follow);
    assert_eq!(err(root), NtStatus::DEVICE_DOES_NOT_EXIST, "not the empty directory below");
    let Some(_mounted) = Mounted::tmpfs(dir.path()) else { return };
    std::fs::write(dir.path().join("f"), "22").unwrap();
    export.check().unwrap();
    let Ok(Lookup::Found(found)) = export.lookup(&f, Last::Follow) else { panic!() };
    assert_eq!(found.stat.size, 2);
}

#[test]
fn a_removed_directory_is_an_error_at_once_and_may_come_back() {
    let dir = tempfile::tempdir().unwrap();
    let top = dir.path().join("share");
    std::fs::create_dir(&top).unwrap();
    let export = Export::open(&top, Policy::default()).unwrap();
    for _ in 0..2 {
        export.check().unwrap();
        std::fs::remove_dir_all(&top).unwrap();
        for path in ["f", "d\\f"] {
            let looked = export.lookup(&SmbPath::parse(path).unwrap(), Last::Follow);
            assert_eq!(err(looked), NtStatus::DEVICE_DOES_NOT_EXIST);
        }
        export.check().unwrap_err();
        std::fs::create_dir_all(top.join("sub")).unwrap();
        export.check().unwrap();
        // And it goes and comes between two checks.
        std::fs::remove_dir_all(&top).unwrap();
        std::fs::create_dir(&top).unwrap();
        std::fs::write(top.join("f"), "1").unwrap();
        let root = export.lookup(&SmbPath::root(), Last::Follow);
        let Ok(Lookup::Found(found)) = root else { panic!() };
        assert_eq!(found.stat.key, export.root_key());
        let f = export.lookup(&SmbPath::parse("f").unwrap(), Last::Follow);
        assert!(matches!(f, Ok(Lookup::Found(_))));
    }
}

#[test]
fn a_dead_fuse_mount_is_an_error() {
    use std::os::fd::AsRawFd;
    let dir = tempfile::tempdir().unwrap();
    let Ok(fuse) = std::fs::OpenOptions::new().read(true).write(true).open("/dev/fuse") else { return };
    let options = format!("fd={},rootmode=40000,user_id=0,group_id=0", fuse.as_raw_fd());
    let export = Export::open(dir.path(), Policy::default()).unwrap();
    if mount(Some("x"), dir.path(), Some("fuse"), MsFlags::empty(), Some(options.as_str())).is_err() {
        return;
    }
    let _mounted = Mounted(dir.path().to_owned());
    // The daemon behind it dies.
    drop(fuse);
    let error = Export::open(dir.path(), Policy::default()).err().unwrap();
    assert_eq!(error.raw_os_error(), Some(libc::ENOTCONN));
    assert_eq!(export.check(), Err(NtStatus::DEVICE_DOES_NOT_EXIST), "mounted over what was exported");
}

#[test]
fn facts_of_this_machine() {
    let s = Share::new();
    let facts = s.export.facts();
    assert!(!facts.fs_type.is_empty());
    assert_ne!(facts.serial, 0);
    let again = Export::open(&s.at(""), Policy::default()).unwrap();
    assert_eq!(again.facts().serial, facts.serial);
    let volume = s.export.volume().unwrap();
    assert!(volume.total >= volume.free && volume.free >= volume.available && volume.total > 0);
    assert!(volume.cluster_size.is_power_of_two());
    assert_eq!(volume.label, "root");
    assert!(Export::open(&s.at("none"), Policy::default()).is_err());
    s.write("file", "");
    assert!(Export::open(&s.at("file"), Policy::default()).is_err());
}
