//! CREATE by an application that has moved to another machine and takes its files along (MS-SMB2 3.3.5.9.13): who names the
//! AppInstanceId of another client's open of the same file ends that open, if he may read the file.

use crate::cmd::{Ctx, close};
use crate::session::instance::{Instance, Member};
use crate::session::{Open, Share};
use crate::types::{Dialect, Guid, NodeKey, NtStatus};
use crate::wire::create_context::{AppInstanceId, AppInstanceVersion, CreateContext, find, name};
use std::sync::Arc;

/// None: the application does not say who it is.
pub fn read(contexts: &[CreateContext<'_>]) -> Result<Option<Instance>, NtStatus> {
    let Some(id) = find(contexts, name::APP_INSTANCE_ID) else { return Ok(None) };
    let id = AppInstanceId::decode(id)?.app_instance_id;
    let version = match find(contexts, name::APP_INSTANCE_VERSION) {
        Some(data) => {
            let version = AppInstanceVersion::decode(data)?;
            Some((version.app_instance_version_high, version.app_instance_version_low))
        }
        None => None,
    };
    Ok(Some(Instance { id, version }).filter(|instance| instance.id != Guid::default()))
}

/// As far as the dialect has versions.
fn of_dialect(ctx: &Ctx<'_>, asked: Instance) -> Instance {
    let has_versions = ctx.conn.dialect().is_some_and(|dialect| dialect >= Dialect::SMB3_11);
    Instance { version: asked.version.filter(|_| has_versions), ..asked }
}

/// The open that is made is the instance's.
pub fn enter(ctx: &Ctx<'_>, asked: Option<Instance>, open: &Open) {
    if let Some(asked) = asked {
        let member = ctx.gate.instances.enter(of_dialect(ctx, asked), ctx.client_guid(), open.id.volatile);
        let _ = open.instance.set(Box::new(member));
    }
}

/// What another client has open of the file for the same instance is closed. FILE_FORCED_CLOSED: it is this one whose time
/// is over. `may_read`: asked only if there is such an open. For workers.
pub fn take_over(
    ctx: &Ctx<'_>,
    asked: Instance,
    share: &Arc<Share>,
    key: NodeKey,
    may_read: impl Fn() -> Result<bool, NtStatus>,
) -> Result<(), NtStatus> {
    let (asked, client) = (of_dialect(ctx, asked), ctx.client_guid());
    for id in ctx.gate.instances.of(asked.id) {
        let Some(open) = ctx.gate.opens.by_volatile(id) else { continue };
        let Some(member) = open.instance.get().filter(|member| member.client != client) else { continue };
        if !Arc::ptr_eq(open.share(), share) || open.file().is_none_or(|file| file.key != key) {
            continue;
        }
        if is_late(asked, member) {
            return Err(NtStatus::FILE_FORCED_CLOSED);
        }
        if may_read()? {
            log::info!("share {}: a file that {} had open goes with its application", share.name, open.user);
            close::close_any(ctx.gate, &open);
        }
    }
    Ok(())
}

/// A version that does not come after the open's, or is not told where the open's was.
fn is_late(asked: Instance, member: &Member) -> bool {
    member.instance.version.is_some_and(|held| asked.version.is_none_or(|version| version <= held))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::instance::Instances;

    #[test]
    fn who_comes_after_takes_over_and_who_says_nothing_does_not() {
        let all = Arc::new(Instances::default());
        let with = |version| Instance { id: Guid([1; 16]), version };
        let late = |asked, held| is_late(with(asked), &all.enter(with(held), Guid::default(), 1));
        assert!(!late(None, None) && !late(Some((0, 1)), None));
        assert!(late(None, Some((0, 0))));
        for (asked, expected) in
            [((1, 2), true), ((1, 1), true), ((0, 9), true), ((1, 3), false), ((2, 0), false)]
        {
            assert_eq!(late(Some(asked), Some((1, 2))), expected, "{asked:?}");
        }
    }
}
