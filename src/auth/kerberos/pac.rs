//! KERB_VALIDATION_INFO (MS-PAC 2.5): which accounts of its domain a user is.

use crate::wire::codec::{DecodeError, Reader, Result};
use crate::wire::dtyp::Sid;

/// More groups than any token has (Windows stops at 1,015).
const MAX_GROUPS: usize = 4096;
/// SE_GROUP_ENABLED (MS-PAC 2.2.1).
const ENABLED: u32 = 4;

/// A group and its attributes.
type Member<T> = (T, u32);

/// The user's SID, his primary group's, and those of the groups that are in force: accounts of domains alone. What is
/// well-known (S-1-5-32-544) is for this machine to say.
pub fn sids(info: &[u8]) -> Result<Vec<Sid>> {
    let mut r = Reader::new(info);
    head(&mut r)?;
    r.skip(6 * 8, "times of logon")?;
    let names = (0..6).map(|_| string(&mut r)).collect::<Result<Vec<bool>>>()?;
    r.skip(4, "counts of logons")?;
    let (user, primary) = (r.u32("UserId")?, r.u32("PrimaryGroupId")?);
    let (groups, groups_there) = (r.u32("GroupCount")?, pointer(&mut r)?);
    r.skip(4 + 16, "UserFlags")?;
    let more_names = [string(&mut r)?, string(&mut r)?];
    let domain_there = pointer(&mut r)?;
    r.skip(8 + 4 + 4 + 8 + 8 + 4 + 4, "UserAccountControl")?;
    let (extras, extras_there) = (r.u32("SidCount")?, pointer(&mut r)?);
    let resource_domain_there = pointer(&mut r)?;
    let (resources, resources_there) = (r.u32("ResourceGroupCount")?, pointer(&mut r)?);

    // What the pointers point at, in their order.
    names.into_iter().try_for_each(|there| characters(&mut r, there))?;
    let groups = members(&mut r, groups, groups_there)?;
    more_names.into_iter().try_for_each(|there| characters(&mut r, there))?;
    let domain = sid(&mut r, domain_there)?;
    let extras = extra_sids(&mut r, extras, extras_there)?;
    let resource_domain = sid(&mut r, resource_domain_there)?;
    let resources = members(&mut r, resources, resources_there)?;

    let always = [user, primary].map(|rid| (rid, ENABLED));
    let of = |domain: Option<Sid>, members: &[Member<u32>]| -> Vec<Member<Option<Sid>>> {
        members
            .iter()
            .map(|(rid, attributes)| (domain.and_then(|domain| domain.child(*rid)), *attributes))
            .collect()
    };
    let all = [of(domain, &always), of(domain, &groups), extras, of(resource_domain, &resources)].concat();
    let mut sids: Vec<Sid> = all
        .into_iter()
        .filter(|(_, attributes)| attributes & ENABLED != 0)
        .filter_map(|(sid, _)| sid)
        .filter(Sid::is_domain_account)
        .collect();
    sids.sort_unstable();
    sids.dedup();
    Ok(sids)
}

/// The headers of type serialization version 1 (MS-RPCE 2.2.6), and the pointer to all of it.
fn head(r: &mut Reader<'_>) -> Result<()> {
    if r.array("type serialization")? != [1, 0x10, 8, 0] {
        return Err(DecodeError::new("type serialization"));
    }
    r.skip(4 + 8, "type serialization")?;
    if pointer(r)? { Ok(()) } else { Err(DecodeError::new("KERB_VALIDATION_INFO")) }
}

fn pointer(r: &mut Reader<'_>) -> Result<bool> {
    r.align(4);
    Ok(r.u32("NDR pointer")? != 0)
}

/// The fixed part of an RPC_UNICODE_STRING: are there characters?
fn string(r: &mut Reader<'_>) -> Result<bool> {
    r.skip(4, "RPC_UNICODE_STRING")?;
    pointer(r)
}

fn characters(r: &mut Reader<'_>, there: bool) -> Result<()> {
    if there {
        r.align(4);
        let [_most, _offset, count] = [r.u32("NDR string")?, r.u32("NDR string")?, r.u32("NDR string")?];
        r.skip((count as usize).saturating_mul(2), "NDR string")?;
    }
    Ok(())
}

fn sid(r: &mut Reader<'_>, there: bool) -> Result<Option<Sid>> {
    if !there {
        return Ok(None);
    }
    r.align(4);
    let count = r.u32("RPC_SID")?;
    let sid = Sid::decode(r)?;
    if sid.sub_authorities().len() == count as usize {
        Ok(Some(sid))
    } else {
        Err(DecodeError::new("RPC_SID"))
    }
}

/// The size of a conformant array that was announced with `count` elements.
fn size(r: &mut Reader<'_>, count: u32) -> Result<usize> {
    r.align(4);
    let size = r.u32("NDR array")?;
    let fits = size == count && size as usize <= MAX_GROUPS;
    if fits { Ok(size as usize) } else { Err(DecodeError::new("NDR array")) }
}

/// GROUP_MEMBERSHIPs: relative identifiers and attributes.
fn members(r: &mut Reader<'_>, count: u32, there: bool) -> Result<Vec<Member<u32>>> {
    let count = if there { size(r, count)? } else { 0 };
    (0..count).map(|_| Ok((r.u32("RelativeId")?, r.u32("Attributes")?))).collect()
}

/// KERB_SID_AND_ATTRIBUTES, the SIDs behind all of them.
fn extra_sids(r: &mut Reader<'_>, count: u32, there: bool) -> Result<Vec<Member<Option<Sid>>>> {
    let count = if there { size(r, count)? } else { 0 };
    let fixed =
        (0..count).map(|_| Ok((pointer(r)?, r.u32("Attributes")?))).collect::<Result<Vec<(bool, u32)>>>()?;
    fixed.into_iter().map(|(there, attributes)| Ok((sid(r, there)?, attributes))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// What a KDC of Windows 2008 said of the user w2k8u (from the tests of MIT Kerberos).
    const WINDOWS: &str = "\
        01100800cccccccc9001000000000000000002000000000000000000ffffffffffffff7fffffffffffffff7fc936fd575b59\
        d401c936fd575b59d401ffffffffffffff7f0a000a00040002000a000a0008000200000000000c0002000000000010000200\
        00000000140002000000000018000200000000007604000001020000010000001c0002002000000000000000000000000000\
        000000000000060008002000020008000a002400020028000200000000000000000010020000000000000000000000000000\
        0000000000000000000000000000000000000000000000000000000000000000000000000500000000000000050000007700\
        32006b00380075000000050000000000000005000000770032006b0038007500000000000000000000000000000000000000\
        0000000000000000000000000000000000000000000000000000000000000000010000000102000007000000040000000000\
        0000030000005700440043000000050000000000000004000000410043004d00450004000000010400000000000515000000\
        74a08d003fa5c2e96091e12200000000";

    fn windows() -> Vec<u8> {
        let digits: Vec<u8> = WINDOWS.chars().filter_map(|c| c.to_digit(16)).map(|d| d as u8).collect();
        digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
    }

    #[test]
    fn a_pac_of_windows_tells_user_and_groups() {
        let shown: Vec<String> = sids(&windows()).unwrap().iter().map(Sid::to_string).collect();
        let domain = "S-1-5-21-9281652-3921847615-585208160";
        assert_eq!(shown, [format!("{domain}-513"), format!("{domain}-1142")]);
    }

    #[test]
    fn every_truncation_is_an_error() {
        let info = windows();
        let needed = (0..=info.len()).rev().take_while(|len| sids(&info[..*len]).is_ok()).count();
        assert!(needed <= 8, "what follows is padding");
        for len in 0..info.len() - needed {
            assert!(sids(&info[..len]).is_err(), "{len}");
        }
    }

    proptest! {
        #[test]
        fn random_bytes_never_panic(at: prop::sample::Index, with: Vec<u8>) {
            let mut info = windows();
            let at = at.index(info.len());
            let end = (at + with.len()).min(info.len());
            info[at..end].copy_from_slice(&with[..end - at]);
            let _ = sids(&info);
            let _ = sids(&with);
        }
    }
}
