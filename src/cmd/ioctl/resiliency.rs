//! FSCTL_LMR_REQUEST_RESILIENCY (MS-SMB2 3.3.5.15.9): an open that waits for its client after a cut of the network, whatever
//! it caches and whoever else wants the file.

use super::{Done, Output, Target};
use crate::session::Durability;
use crate::types::{Dialect, Guid, NtStatus};
use crate::wire::create::CreateAction;
use crate::wire::ioctl::NetworkResiliencyRequest;
use std::time::Duration;

/// MaxResiliencyTimeout.
const LONGEST: Duration = Duration::from_secs(300);
/// For a client that does not say how long.
const USUAL: Duration = Duration::from_secs(120);

pub fn request(target: &Target<'_, '_>) -> Done {
    let Target { ctx, open, request, .. } = target;
    let negotiated = ctx.negotiated()?;
    if negotiated.dialect == Dialect::SMB2_02 {
        return Err(NtStatus::INVALID_DEVICE_REQUEST.into());
    }
    let timeout = timeout(NetworkResiliencyRequest::decode(request.input)?.timeout)?;
    let nobody = ctx.session()?.who().is_none_or(|who| who.guest || who.anonymous);
    // Guests cannot be told from each other when they come back.
    if nobody || open.tree.disk()?.settings.durable_timeout.is_zero() {
        return Err(NtStatus::NOT_SUPPORTED.into());
    }
    let durability = open.durability.get_or_init(|| {
        Box::new(Durability::new(negotiated.client_guid, Guid::default(), CreateAction::OPENED, None))
    });
    durability.make_resilient(timeout);
    ctx.gate.durable.add(open);
    ctx.gate.keeper.changed(open);
    Output::none()
}

/// `asked`: milliseconds.
fn timeout(asked: u32) -> Result<Duration, NtStatus> {
    match Duration::from_millis(asked.into()) {
        Duration::ZERO => Ok(USUAL),
        asked if asked <= LONGEST => Ok(asked),
        _ => Err(NtStatus::INVALID_PARAMETER),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_long_as_is_asked_and_no_longer_than_there_is() {
        assert_eq!((timeout(0), timeout(1)), (Ok(USUAL), Ok(Duration::from_millis(1))));
        assert_eq!((timeout(300_000), timeout(300_001)), (Ok(LONGEST), Err(NtStatus::INVALID_PARAMETER)));
    }
}
