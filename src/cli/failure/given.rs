//! Keys that people give, and where they said those are.

use super::readers::recipient_hint;
use super::{ExitCode, Failure, shell_word};
use crate::keys::age::identity::IdentityProblem;
use crate::keys::age::recipient::RecipientError;
use crate::keys::given::GivenError;
use crate::sys::https::HttpsError;

/// What helps wherever an address does not.
const OTHERWISE: &str = "or give the key itself (age1…, 'ssh-ed25519 …'), or a file that it is in";

impl From<GivenError> for Failure {
    fn from(error: GivenError) -> Self {
        match &error {
            GivenError::Recipient(RecipientError::PrivateKey) => Self::of(ExitCode::Refused, &error).hint(
                "it stands in your shell's history now; if others could see it, throw it away: `dotsops keygen` makes a new one, \
                 and its public key (age1…) is what to give",
            ),
            GivenError::Recipient(RecipientError::KindNotSupported(_)) => {
                Self::of(ExitCode::Malformed, &error).hint("this version lets people in by age and SSH keys; use sops for others")
            }
            GivenError::Recipient(source) => Self::of(ExitCode::Malformed, &error).hint(match source {
                RecipientError::SshType { .. } | RecipientError::RsaTooSmall | RecipientError::RsaTooLarge => OTHER_KEY,
                source => recipient_hint(source),
            }),
            GivenError::Address(_) => Self::of(ExitCode::Usage, &error)
                .hint(format!("as in github:alice or https://example.org/alice.keys; {OTHERWISE}")),
            GivenError::NoSuchFile { path } => Self::of(ExitCode::World, &error).hint(format!(
                "`ls {}` says what is there; github:{} would be a user at GitHub",
                shell_word(super::folder(path)),
                path.file_name().map_or("USER".into(), |name| name.to_string_lossy())
            )),
            GivenError::File { path, problem } => {
                let failure = Self::of(ExitCode::World, &error);
                match problem {
                    IdentityProblem::Unreadable(_) => failure.hint(format!("`ls -l {}` says why", shell_word(path))),
                    IdentityProblem::SshType { .. } => failure.hint(OTHER_KEY),
                    _ => failure.hint("give the public key: the file that ends in .pub, or the line `# public key:` of an identity"),
                }
            }
            GivenError::Fetch { url, source } => Self::of(ExitCode::World, &error).hint(fetch_hint(url, source)),
            GivenError::NoSuchUser { user } | GivenError::UserWithoutKeys { user } => Self::of(ExitCode::World, &error)
                .hint(format!("look at https://github.com/{user}; {OTHERWISE}")),
            GivenError::NoKeys { .. } | GivenError::TooMany { .. } => Self::of(ExitCode::Malformed, &error).hint(
                "look at what it is; keys stand one to a line there, as in a .pub file (`ssh-keygen -i -f FILE` makes that of other forms)",
            ),
        }
    }
}

/// What to do about a key that age cannot use.
const OTHER_KEY: &str = "`ssh-keygen -t ed25519` makes an SSH key that can be used, `dotsops keygen` an age key";

fn fetch_hint(url: &str, error: &HttpsError) -> String {
    match error {
        HttpsError::NotBuilt => format!("`curl -fsS {url}` shows what is there; {OTHERWISE}"),
        HttpsError::NoHost | HttpsError::NoConnection(_) => {
            format!("look at the address and at your network (a proxy is named by https_proxy); {OTHERWISE}")
        }
        HttpsError::Proxy | HttpsError::ProxyAddress => "https_proxy or HTTPS_PROXY names it, as in http://HOST:PORT".to_owned(),
        HttpsError::NoCertificates => {
            "install ca-certificates, or name a file of certificates to trust by SSL_CERT_FILE".to_owned()
        }
        HttpsError::NotTrusted(_) => {
            "somebody may be in between; if that is your company's proxy, SSL_CERT_FILE names the file of certificates to trust"
                .to_owned()
        }
        HttpsError::Redirect(_) => format!("if you trust that place, give its address; {OTHERWISE}"),
        _ => format!("look at {url} in a browser; {OTHERWISE}"),
    }
}
