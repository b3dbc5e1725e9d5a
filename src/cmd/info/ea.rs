//! Extended attributes (MS-FSA 2.1.5.12.11 FileFullEaInformation, 2.1.5.15.5).

use super::{Out, Subject};
use crate::cmd::Handled;
use crate::fsa::change::Facets;
use crate::posix::{Ea, Export, Object};
use crate::types::NtStatus;
use crate::wire::codec::Writer;
use crate::wire::fscc::eas::{EaWriter, FullEa, decode, decode_names};
use crate::wire::query_info::{QueryInfoFlags, QueryInfoRequest};

/// FILE_NEED_EA: whoever opens the file has to understand this EA. It is not kept.
const NEED_EA: u8 = 0x80;

/// All of them, those asked for by name, or from an index on. The place of a scan is not kept: what is not asked
/// for by index begins at the first.
pub(super) fn query(subject: &Subject<'_>, request: &QueryInfoRequest<'_>, out: Out<'_>) -> Handled {
    let all = subject.export.eas(&subject.file.object)?;
    let list = if request.input_buffer.is_empty() {
        let first = if request.flags.contains(QueryInfoFlags::INDEX_SPECIFIED) {
            (request.additional_information as usize).saturating_sub(1)
        } else {
            0
        };
        match (all.get(first..), all.is_empty()) {
            (_, true) => return Err(NtStatus::NO_EAS_ON_FILE.into()),
            (None | Some([]), _) => return Err(NtStatus::NONEXISTENT_EA_ENTRY.into()),
            (Some(rest), _) => rest.to_vec(),
        }
    } else {
        by_name(&all, request.input_buffer)?
    };
    let single = request.flags.contains(QueryInfoFlags::RETURN_SINGLE_ENTRY);
    let list = if single { &list[..1] } else { &list[..] };
    let mut nothing = false;
    let handled = out.put_list(|w, max| {
        let mut writer = EaWriter::new(w, max);
        let whole = list.iter().all(|ea| writer.push(on_wire(ea)));
        nothing = writer.is_empty();
        whole
    });
    if nothing { Err(NtStatus::BUFFER_TOO_SMALL.into()) } else { handled }
}

fn on_wire(ea: &Ea) -> FullEa<'_> {
    FullEa { flags: 0, name: ea.name.as_bytes(), value: &ea.value }
}

/// What is not there is told with an empty value.
fn by_name(all: &[Ea], names: &[u8]) -> Result<Vec<Ea>, NtStatus> {
    let mut list = Vec::new();
    for name in decode_names(names) {
        let name = text(name.map_err(|_| NtStatus::EA_LIST_INCONSISTENT)?)?;
        let found = all.iter().find(|ea| ea.name.eq_ignore_ascii_case(name));
        list.push(found.cloned().unwrap_or_else(|| Ea { name: name.to_owned(), value: Vec::new() }));
    }
    Ok(list)
}

fn text(name: &[u8]) -> Result<&str, NtStatus> {
    std::str::from_utf8(name).map_err(|_| NtStatus::INVALID_EA_NAME)
}

/// Bytes of the whole list (MS-FSCC 2.4.13 EaSize).
pub(super) fn size(subject: &Subject<'_>) -> Result<u32, NtStatus> {
    let all = subject.export.eas(&subject.file.object)?;
    if all.is_empty() {
        return Ok(0);
    }
    let mut bytes = Vec::new();
    let mut w = Writer::new(&mut bytes);
    let mut writer = EaWriter::new(&mut w, usize::MAX);
    for ea in &all {
        let _ = writer.push(on_wire(ea));
    }
    Ok(u32::try_from(writer.len()).unwrap_or(u32::MAX))
}

pub(super) fn set(subject: &mut Subject<'_>, list: &[u8]) -> Result<(), NtStatus> {
    let eas = parse(list)?;
    for ea in &eas {
        subject.export.set_ea(&subject.file.object, &ea.name, &ea.value)?;
    }
    if !eas.is_empty() {
        subject.tell_modified(Facets::EA);
    }
    Ok(())
}

/// A list that a client sent, checked whole before anything of it is done.
pub fn parse(list: &[u8]) -> Result<Vec<Ea>, NtStatus> {
    decode(list)
        .map(|ea| {
            let ea = ea.map_err(|_| NtStatus::EA_LIST_INCONSISTENT)?;
            if ea.flags & !NEED_EA != 0 {
                return Err(NtStatus::INVALID_EA_NAME);
            }
            Ok(Ea { name: text(ea.name)?.to_owned(), value: ea.value.to_vec() })
        })
        .collect()
}

/// What CREATE gives a file that it made or overwrote (MS-FSA 2.1.5.1.1, 2.1.5.1.2). A superseded one has no others;
/// one that is overwritten keeps those it had, since they may be a local program's.
pub fn replace(export: &Export, object: &Object, eas: &[Ea], superseded: bool) -> Result<(), NtStatus> {
    if superseded {
        for old in export.eas(object)? {
            if !eas.iter().any(|ea| ea.name.eq_ignore_ascii_case(&old.name)) {
                export.set_ea(object, &old.name, &[])?;
            }
        }
    }
    eas.iter().try_for_each(|ea| export.set_ea(object, &ea.name, &ea.value))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(eas: &[(&str, &str)]) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut w = Writer::new(&mut bytes);
        let mut writer = EaWriter::new(&mut w, usize::MAX);
        for (name, value) in eas {
            assert!(writer.push(FullEa { flags: 0, name: name.as_bytes(), value: value.as_bytes() }));
        }
        bytes
    }

    #[test]
    fn a_list_is_taken_whole_or_not_at_all() {
        let two = list(&[("ONE", "1"), ("TWO", "")]);
        assert_eq!(parse(&two).unwrap().len(), 2);
        assert_eq!(parse(&two[..two.len() - 1]), Err(NtStatus::EA_LIST_INCONSISTENT));
        assert_eq!(parse(&list(&[("\u{e9}", "x")])).unwrap()[0].name, "\u{e9}");
    }

    #[test]
    fn a_missing_name_has_an_empty_value() {
        let all = [Ea { name: "one".into(), value: b"1".to_vec() }];
        let mut names = Vec::new();
        crate::wire::fscc::eas::encode_names(&[b"ONE", b"TWO"], &mut Writer::new(&mut names));
        let found = by_name(&all, &names).unwrap();
        assert_eq!(found[0], all[0]);
        assert_eq!(found[1], Ea { name: "TWO".into(), value: Vec::new() });
    }
}
