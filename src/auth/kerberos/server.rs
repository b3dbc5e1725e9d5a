//! The acceptor of tickets (RFC 4121, MS-KILE 3.4.5).

use std::sync::Arc;
use std::time::Instant;

use super::{Kerberos, keytab, names, pac, trouble};
use crate::auth::mechanism::{MechStep, Mechanism};
use crate::auth::{Logon, LogonKind};
use crate::crypto::SessionKey;
use crate::sys::gssapi::{Accepted, Acceptor, Error, Name};
use crate::types::NtStatus;
use crate::wire::dtyp::Sid;

/// What the library calls the logon information of a PAC.
const LOGON_INFO: &str = "urn:mspac:logon-info";

/// One logon by ticket: an AP-REQ, and with DCE_STYLE one token more.
pub struct KerberosServer {
    kerberos: Arc<Kerberos>,
    context: Option<Acceptor>,
}

impl KerberosServer {
    pub fn new(kerberos: Arc<Kerberos>) -> KerberosServer {
        KerberosServer { kerberos, context: None }
    }

    fn context(&mut self) -> Result<&mut Acceptor, Error> {
        if self.context.is_none() {
            let rules = &self.kerberos.rules;
            self.context = Some(self.kerberos.library.acceptor(&rules.keytab, &rules.replays)?);
        }
        Ok(self.context.as_mut().expect("made above"))
    }

    fn failed(&self, error: &Error) -> MechStep {
        let (status, why) = trouble::told(error, &self.kerberos.rules.keytab);
        MechStep::Failed { status, why, user: None }
    }

    /// The ticket is good. Is it for this service, and whose is it?
    fn admit(
        &mut self,
        client: &Name,
        token: Vec<u8>,
        lifetime: std::time::Duration,
    ) -> Result<MechStep, Error> {
        let context = self.context()?;
        let service = context.service()?;
        if !names::is_cifs(&service) {
            return Ok(MechStep::failed(format!(
                "the ticket is for {service}, and not for cifs/HOST: keep keys of other services in another keytab"
            )));
        }
        let key = context.session_key()?;
        let principal = client.text()?;
        let refused = |status, why| MechStep::Failed { status, why, user: Some(principal.clone()) };
        if key.is_empty() {
            return Ok(refused(NtStatus::LOGON_FAILURE, "the ticket has no session key".into()));
        }
        let Kerberos { rules, users, accounts, skew, .. } = &*self.kerberos;
        let realms = match &rules.realms {
            Some(realms) => realms.clone(),
            None => keytab::read(&rules.keytab).map(|entries| keytab::realms(&entries)).unwrap_or_default(),
        };
        let user = match names::local(&principal, &rules.map, &realms, &**users, &**accounts) {
            Ok(user) => user,
            Err(why) => return Ok(refused(NtStatus::NO_SUCH_USER, why)),
        };
        // What the library tells has the skew in it, and the session is to end with the ticket.
        let left = lifetime.saturating_sub(*skew);
        let logon = Logon {
            user,
            domain: principal.rsplit_once('@').map(|(_, realm)| realm.to_owned()).unwrap_or_default(),
            workstation: String::new(),
            session_key: SessionKey::new(&key),
            kind: LogonKind::User,
            principal: Some(principal.clone()),
            expires: Instant::now().checked_add(left),
            sids: sids(client, &principal).into(),
        };
        Ok(MechStep::Done { token: Some(token).filter(|token| !token.is_empty()), logon })
    }
}

/// The accounts of domains that the PAC says he is. None without one that is signed with our key.
fn sids(client: &Name, principal: &str) -> Vec<Sid> {
    let Some(info) = client.attribute(LOGON_INFO) else { return Vec::new() };
    pac::sids(&info).unwrap_or_else(|e| {
        log::warn!("the PAC of {principal} is not understood, and nothing of it used: {e}");
        Vec::new()
    })
}

impl Mechanism for KerberosServer {
    fn step(&mut self, token: &[u8]) -> MechStep {
        let accepted = self.context().and_then(|context| context.accept(token));
        let step = match accepted {
            Ok(Accepted::More(token)) => Ok(MechStep::Continue(token)),
            Ok(Accepted::Done { client, token, lifetime }) => self.admit(&client, token, lifetime),
            Err(e) => Err(e),
        };
        step.unwrap_or_else(|e| self.failed(&e))
    }

    fn mic(&mut self, message: &[u8]) -> Option<Vec<u8>> {
        self.context.as_ref()?.mic(message).ok()
    }

    fn verify_mic(&mut self, message: &[u8], mic: &[u8]) -> Option<bool> {
        Some(self.context.as_ref()?.verify_mic(message, mic).is_ok())
    }
}
