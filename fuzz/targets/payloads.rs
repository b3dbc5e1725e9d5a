//! What stands in the buffers of SET_INFO, QUERY_INFO and IOCTL requests. The first byte chooses.
#![no_main]
use libfuzzer_sys::fuzz_target;
use smbgate::wire::dtyp::SecurityDescriptor;
use smbgate::wire::fscc::set_info::{SetFileInfo, SetFsInfo};
use smbgate::wire::fscc::{FileInfoClass, FsInfoClass, eas, fsctl, reparse};
use smbgate::wire::ioctl;

fuzz_target!(|bytes: &[u8]| {
    let Some((&choice, data)) = bytes.split_first() else { return };
    match choice {
        0..=127 => drop(SetFileInfo::decode(FileInfoClass(choice), data)),
        128..=159 => drop(SetFsInfo::decode(FsInfoClass(choice - 128), data)),
        160 => {
            // An ACE of an odd size is written padded; what was written once stays as it is.
            if let Ok(descriptor) = SecurityDescriptor::decode(data) {
                let again =
                    SecurityDescriptor::decode(&descriptor.to_bytes()).expect("what was encoded decodes");
                assert_eq!(SecurityDescriptor::decode(&again.to_bytes()).expect("and again"), again);
            }
        }
        161 => eas::decode(data).take(1000).for_each(drop),
        162 => eas::decode_names(data).take(1000).for_each(drop),
        163 => drop(ioctl::SrvCopychunkCopy::decode(data)),
        164 => drop(ioctl::ValidateNegotiateInfoRequest::decode(data)),
        165 => drop(ioctl::NetworkResiliencyRequest::decode(data)),
        166 => drop(fsctl::decode_ranges(data)),
        167 => drop(fsctl::DuplicateExtents::decode(data.len() % 2 == 0, data)),
        168 => drop(fsctl::decode_trim(data)),
        169 => drop(fsctl::PipeWait::decode(data)),
        170 => drop(reparse::Reparse::decode(data)),
        _ => drop(fsctl::decode_set_sparse(data)),
    }
});
