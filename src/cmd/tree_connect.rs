//! TREE_CONNECT (MS-SMB2 3.3.5.7).

use super::{Ctx, Handled, Reply};
use crate::auth::Identity;
use crate::config::{Access, Encryption};
use crate::session::{ActsAs, Disk, Share, ShareKind, TreeConnect, Who};
use crate::types::{AccessMask, NtStatus};
use crate::wire::codec::Reader;
use crate::wire::tree_connect::{
    ShareCapabilities, ShareFlags, ShareType, TreeConnectRequest, TreeConnectResponse,
};
use std::sync::Arc;

/// The most tree connects of one session.
const MAX_TREES: usize = 4096;

pub fn handle(ctx: &mut Ctx<'_>, mut body: Reader<'_>, reply: &mut Reply) -> Handled {
    let request = TreeConnectRequest::decode(&mut body)?;
    let name = share_name(&request.path).ok_or(NtStatus::BAD_NETWORK_NAME)?;
    let share = ctx.gate.share(name).ok_or(NtStatus::BAD_NETWORK_NAME)?;
    let session = Arc::clone(ctx.session()?);
    let who = session.who().ok_or(NtStatus::USER_SESSION_DELETED)?;
    if session.trees().len() >= MAX_TREES {
        return Err(NtStatus::INSUFFICIENT_RESOURCES.into());
    }
    let negotiated = ctx.negotiated()?;
    let live = ctx.gate.live();
    let mut capabilities = ShareCapabilities::empty();
    let (share_type, flags, encrypt, access, identity) = match &share.kind {
        ShareKind::Pipes => (
            ShareType::PIPE,
            ShareFlags::NO_CACHING,
            false,
            AccessMask::FILE_ALL,
            Arc::new(Identity::process()),
        ),
        ShareKind::Disk(disk) => {
            let access = access_of(disk, &who).ok_or(NtStatus::ACCESS_DENIED)?;
            let encrypt = live.settings.encryption_of(&disk.settings) == Encryption::Required;
            let can_seal =
                negotiated.cipher.is_some() && session.security().is_some_and(|s| s.server_out.is_some());
            if encrypt && !can_seal {
                return Err(NtStatus::ACCESS_DENIED.into());
            }
            let mut flags = ShareFlags::empty();
            flags.set(ShareFlags::ACCESS_BASED_DIRECTORY_ENUM, disk.settings.hide_unreadable);
            let available = disk.settings.continuous_availability && negotiated.dialect.is_smb3();
            capabilities.set(ShareCapabilities::CONTINUOUS_AVAILABILITY, available);
            (ShareType::DISK, flags, encrypt, access, identity_of(&share, disk, &who)?)
        }
    };
    let mut share_flags = flags;
    share_flags.set(ShareFlags::ENCRYPT_DATA, encrypt);
    let authenticated = !(who.guest || who.anonymous);
    let id = session.new_tree_id();
    let tree =
        Arc::new(TreeConnect::new(id, share, identity, access, encrypt, authenticated).known_as(&who.sids));
    session.add_tree(Arc::clone(&tree));
    ctx.tree = Some(tree);
    TreeConnectResponse { share_type, share_flags, capabilities, maximal_access: access }
        .encode(&mut reply.body());
    Ok(NtStatus::SUCCESS)
}

/// `\\server\share`: what follows the last backslash of exactly this form.
fn share_name(path: &str) -> Option<&str> {
    let (server, share) = path.strip_prefix(r"\\")?.split_once('\\')?;
    (!server.is_empty() && !share.is_empty() && !share.contains('\\')).then_some(share)
}

fn access_of(disk: &Disk, who: &Who) -> Option<AccessMask> {
    let access = if who.guest || who.anonymous {
        disk.settings.guest_access()
    } else {
        disk.settings.access_of(&who.user)
    }?;
    Some(mask(access))
}

/// What the share allows to a user. None: nothing.
pub fn of_user(disk: &Disk, user: &str) -> Option<AccessMask> {
    disk.settings.access_of(user).map(mask)
}

fn mask(access: Access) -> AccessMask {
    match access {
        Access::ReadWrite => AccessMask::FILE_ALL,
        Access::ReadOnly => AccessMask::FILE_READ | AccessMask::FILE_EXECUTE,
    }
}

fn identity_of(share: &Share, disk: &Disk, who: &Who) -> Result<Arc<Identity>, NtStatus> {
    match &disk.acts_as {
        ActsAs::Owner(owner) => Ok(Arc::clone(owner)),
        ActsAs::Nobody => Err(NtStatus::ACCESS_DENIED),
        ActsAs::User => who.account.clone().ok_or_else(|| {
            log::warn!(
                "share {}: {:?} has no Unix account of that name; make one (useradd), or set `owner` on the share",
                share.name,
                who.user
            );
            NtStatus::ACCESS_DENIED
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::share_name;

    #[test]
    fn the_share_is_the_second_part() {
        assert_eq!(share_name(r"\\nas\media"), Some("media"));
        for bad in [r"\\nas", r"\nas\media", r"\\nas\", r"\\\media", r"\\nas\a\b", "media", ""] {
            assert_eq!(share_name(bad), None, "{bad}");
        }
    }
}
