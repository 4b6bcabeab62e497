//! Names of conditions and their reasons. They are part of the API: documented, and never renamed.

/// The members answer a read that needs a quorum.
pub const AVAILABLE: &str = "Available";
/// Something is on its way to what the resource says.
pub const PROGRESSING: &str = "Progressing";
/// Fewer members serve than are wanted.
pub const DEGRADED: &str = "Degraded";
/// One more member may fail.
pub const QUORUM_HEALTHY: &str = "QuorumHealthy";
/// Certificates are there and valid.
pub const TLS_READY: &str = "TLSReady";
/// Users, roles and passwords are as declared, and clients have to say who they are.
pub const AUTH_READY: &str = "AuthReady";

/// Why a condition is as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    AsWanted,
    Forming,
    Growing,
    Shrinking,
    Replacing,
    RollingOut,
    Recovering,
    Restoring,
    Migrating,
    GrowingVolumes,
    VolumesLeaving,
    VersionRefused,
    Hibernated,
    Paused,
    QuorumLost,
    MembersMissing,
    MembersUnreachable,
    NoSpace,
    Corrupt,
    CertificatesValid,
    CertificatesPending,
    CertificatesChanging,
    TlsOff,
    AuthAsDeclared,
    AuthPending,
    AuthRefused,
    AuthOff,
    PasswordMissing,
    NotRoot,
    NoSpareMember,
    SingleMember,
    UnknownMember,
    Deleting,
    InvalidSpec,
    ObjectRefused,
    Failing,
}

impl Reason {
    pub fn text(self) -> &'static str {
        match self {
            Self::AsWanted => "AsWanted",
            Self::Forming => "Forming",
            Self::Growing => "Growing",
            Self::Shrinking => "Shrinking",
            Self::Replacing => "Replacing",
            Self::RollingOut => "RollingOut",
            Self::Recovering => "Recovering",
            Self::Restoring => "Restoring",
            Self::Migrating => "Migrating",
            Self::GrowingVolumes => "GrowingVolumes",
            Self::VolumesLeaving => "VolumesLeaving",
            Self::VersionRefused => "VersionRefused",
            Self::Hibernated => "Hibernated",
            Self::Paused => "Paused",
            Self::QuorumLost => "QuorumLost",
            Self::MembersMissing => "MembersMissing",
            Self::MembersUnreachable => "MembersUnreachable",
            Self::NoSpace => "NoSpace",
            Self::Corrupt => "Corrupt",
            Self::CertificatesValid => "CertificatesValid",
            Self::CertificatesPending => "CertificatesPending",
            Self::CertificatesChanging => "CertificatesChanging",
            Self::TlsOff => "TLSOff",
            Self::AuthAsDeclared => "AuthAsDeclared",
            Self::AuthPending => "AuthPending",
            Self::AuthRefused => "AuthRefused",
            Self::AuthOff => "AuthOff",
            Self::PasswordMissing => "PasswordMissing",
            Self::NotRoot => "NotRoot",
            Self::NoSpareMember => "NoSpareMember",
            Self::SingleMember => "SingleMember",
            Self::UnknownMember => "UnknownMember",
            Self::Deleting => "Deleting",
            Self::InvalidSpec => "InvalidSpec",
            Self::ObjectRefused => "ObjectRefused",
            Self::Failing => "Failing",
        }
    }
}
