//! FSCTL_VALIDATE_NEGOTIATE_INFO (MS-SMB2 3.3.5.15.12): was NEGOTIATE, which nothing protected, tampered with?

use super::{Done, Output, encoded};
use crate::cmd::{Ctx, Fail};
use crate::conn::Negotiated;
use crate::types::{Dialect, Guid};
use crate::wire::ioctl::{IoctlRequest, ValidateNegotiateInfoRequest, ValidateNegotiateInfoResponse};

/// Bytes of the answer.
const ANSWER: u32 = 24;

pub fn validate(ctx: &mut Ctx<'_>, request: &IoctlRequest<'_>) -> Done {
    let negotiated = ctx.negotiated()?;
    if request.max_output_response < ANSWER {
        return Err(Fail::Fatal("FSCTL_VALIDATE_NEGOTIATE_INFO without room for the answer"));
    }
    let info = ValidateNegotiateInfoRequest::decode(request.input)
        .map_err(|_| Fail::Fatal("a malformed FSCTL_VALIDATE_NEGOTIATE_INFO"))?;
    check(negotiated, &info).map_err(Fail::Fatal)?;
    Output::new(encoded(|w| answer(negotiated, ctx.gate.guid).encode(w)))
}

/// Err: the connection is not what the client wanted.
fn check(negotiated: &Negotiated, info: &ValidateNegotiateInfoRequest) -> Result<(), &'static str> {
    if negotiated.dialect == Dialect::SMB3_11 {
        return Err("FSCTL_VALIDATE_NEGOTIATE_INFO in 3.1.1");
    }
    // Our dialects have not changed since, so that the same list leads to the same choice.
    if info.dialects.as_slice() != negotiated.client_dialects {
        return Err("NEGOTIATE was tampered with: other dialects");
    }
    if info.guid != negotiated.client_guid {
        return Err("NEGOTIATE was tampered with: another ClientGuid");
    }
    if info.security_mode != negotiated.client_security_mode {
        return Err("NEGOTIATE was tampered with: another SecurityMode");
    }
    if info.capabilities != negotiated.client_capabilities {
        return Err("NEGOTIATE was tampered with: other Capabilities");
    }
    Ok(())
}

fn answer(negotiated: &Negotiated, guid: Guid) -> ValidateNegotiateInfoResponse {
    ValidateNegotiateInfoResponse {
        capabilities: negotiated.server_capabilities,
        guid,
        security_mode: negotiated.server_security_mode,
        dialect: negotiated.dialect,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::SigningAlgorithm;
    use crate::wire::negotiate::{Capabilities, SecurityMode};
    use smallvec::smallvec;

    fn negotiated(dialect: Dialect) -> Negotiated {
        Negotiated {
            dialect,
            client_guid: Guid([7; 16]),
            client_capabilities: Capabilities::LARGE_MTU,
            client_security_mode: SecurityMode::SIGNING_ENABLED,
            client_dialects: vec![Dialect::SMB2_10, Dialect::SMB3_00],
            server_capabilities: Capabilities::LARGE_MTU,
            server_security_mode: SecurityMode::SIGNING_ENABLED,
            signing: SigningAlgorithm::AesCmac,
            cipher: None,
            preauth: None,
        }
    }

    fn info() -> ValidateNegotiateInfoRequest {
        ValidateNegotiateInfoRequest {
            capabilities: Capabilities::LARGE_MTU,
            guid: Guid([7; 16]),
            security_mode: SecurityMode::SIGNING_ENABLED,
            dialects: smallvec![Dialect::SMB2_10, Dialect::SMB3_00],
        }
    }

    #[test]
    fn the_same_again_is_confirmed() {
        assert_eq!(check(&negotiated(Dialect::SMB3_00), &info()), Ok(()));
        assert_eq!(encoded(|w| answer(&negotiated(Dialect::SMB3_00), Guid::default()).encode(w)).len(), 24);
    }

    #[test]
    fn anything_else_ends_the_connection() {
        let wrong = [
            ValidateNegotiateInfoRequest {
                dialects: smallvec![Dialect::SMB2_10, Dialect::SMB3_00, Dialect::SMB3_11],
                ..info()
            },
            ValidateNegotiateInfoRequest { dialects: smallvec![], ..info() },
            ValidateNegotiateInfoRequest { guid: Guid::default(), ..info() },
            ValidateNegotiateInfoRequest { security_mode: SecurityMode::SIGNING_REQUIRED, ..info() },
            ValidateNegotiateInfoRequest { capabilities: Capabilities::empty(), ..info() },
        ];
        for info in wrong {
            assert!(check(&negotiated(Dialect::SMB3_00), &info).is_err());
        }
        assert!(check(&negotiated(Dialect::SMB3_11), &info()).is_err());
    }
}
