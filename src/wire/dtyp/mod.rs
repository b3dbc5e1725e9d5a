//! MS-DTYP: security identifiers, access control lists, security descriptors in self-relative form.

mod acl;
mod descriptor;
mod sid;
#[cfg(test)]
mod tests;

pub use acl::{Ace, AceBody, AceFlags, AceType, Acl};
pub use descriptor::{Control, SecurityDescriptor, SecurityInformation};
pub use sid::Sid;
