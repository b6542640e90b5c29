//! An address of authorized keys: `github:alice`, `https://…`.
//!
//! Knows what may stand in one. Its one invariant: an [`Address`] is https, names its host plainly, and has no password in it.

/// Names of users are no longer than that at GitHub.
const MAX_USER: usize = 39;

/// An address that may be fetched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    /// The whole of it, `https://…`.
    pub url: String,
    /// Whose it is, if it is a user at GitHub who was named.
    pub user: Option<String>,
}

impl Address {
    /// The address of the keys that `user` has at GitHub.
    ///
    /// # Errors
    /// [`AddressError::User`] if nobody there can have that name.
    ///
    /// Source: GitHub's "Username considerations": letters, digits and single hyphens, none at the start; an underscore before the short
    /// name of a company. Old names end with a hyphen or have two of them.
    pub fn github(user: &str) -> Result<Self, AddressError> {
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
        let begins_well = user.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric());
        if !begins_well || user.len() > MAX_USER || !user.bytes().all(is_plain) {
            return Err(AddressError::User);
        }
        Ok(Self { url: format!("https://github.com/{user}.keys"), user: Some(user.to_owned()) })
    }

    /// Takes `text` for an address. What stands behind a `#` is dropped.
    ///
    /// # Errors
    /// [`AddressError`], which never repeats it: there may be a password in it.
    pub fn parse(text: &str) -> Result<Self, AddressError> {
        let rest = match text.split_once("://") {
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("https") => rest,
            _ => return Err(AddressError::Scheme),
        };
        let rest = rest.split('#').next().unwrap_or_default();
        if !rest.bytes().all(|byte| byte.is_ascii_graphic() && !br#"\"<>^`{|}"#.contains(&byte)) {
            return Err(AddressError::Character);
        }
        let authority = rest.split(['/', '?']).next().unwrap_or_default();
        if authority.contains('@') {
            return Err(AddressError::Password);
        }
        if !is_host(authority) {
            return Err(AddressError::Host);
        }
        Ok(Self { url: format!("https://{rest}"), user: None })
    }
}

/// Whether it is `HOST` or `HOST:PORT`.
fn is_host(authority: &str) -> bool {
    let (host, port) = match authority.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((host, port))
            if host.contains(':') && host.bytes().all(|byte| byte.is_ascii_hexdigit() || b":.".contains(&byte)) =>
        {
            (host, port.strip_prefix(':').or(port.is_empty().then_some("443")))
        }
        Some(_) => return false,
        None => match authority.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (authority, Some("443")),
        },
    };
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._:".contains(&byte);
    !host.is_empty() && host.bytes().all(is_plain) && port.is_some_and(|port| port.parse::<u16>().is_ok_and(|port| port > 0))
}

/// Why something is no address to fetch keys from. It never holds the address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AddressError {
    /// `http://` and everything else.
    #[error("keys are fetched over https only: on the way of any other address, others could put theirs in")]
    Scheme,
    /// A blank, or something that belongs in no address.
    #[error("the address has a character in it that no address has")]
    Character,
    /// `https://NAME:PASSWORD@HOST/`.
    #[error("the address has a user name or a password in it, which every program on this machine can see")]
    Password,
    /// No host.
    #[error("the address has no host in it, or none that can be one")]
    Host,
    /// A name that nobody can have.
    #[error("this can be no user's name at GitHub: they have at most 39 letters, digits and hyphens")]
    User,
}
