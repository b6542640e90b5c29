//! One request over https, for who was told to make it.
//!
//! The only network code there is; a build without the feature `https` has none. It initialises nothing before [`get`] is called. Its one
//! invariant: a request goes to the host of its address and nowhere else, ends within [`Network::patience`], and gives no more than it may.

use std::path::PathBuf;
use std::time::Duration;

/// How this machine reaches others. The caller knows it, from the environment. There may be a proxy's password in it.
#[derive(Clone)]
pub struct Network {
    /// The proxy to go through, as in `https_proxy`.
    pub proxy: Option<String>,
    /// The hosts that are reached without it, as in `no_proxy`.
    pub direct: Option<String>,
    /// A file of certificates to trust instead of the system's, as in `SSL_CERT_FILE`.
    pub certificates: Option<PathBuf>,
    /// Folders of them, as in `SSL_CERT_DIR`.
    pub certificate_folders: Vec<PathBuf>,
    /// How long it may take until the other side is there.
    pub until_connected: Duration,
    /// How long all of it may take.
    pub patience: Duration,
}

impl Default for Network {
    /// Straight, with the system's certificates, for ten seconds at most.
    fn default() -> Self {
        Self {
            proxy: None,
            direct: None,
            certificates: None,
            certificate_folders: Vec::new(),
            until_connected: Duration::from_secs(3),
            patience: Duration::from_secs(10),
        }
    }
}

/// What is at `url`, which begins with `https://`, if that has no more than `limit` bytes. Whatever the other side calls it counts for
/// nothing. A redirect is followed three times, on the same host.
///
/// # Errors
/// [`HttpsError`].
#[cfg(feature = "https")]
pub fn get(url: &str, limit: usize, network: &Network) -> Result<Vec<u8>, HttpsError> {
    with_feature::get(url, limit, network)
}

/// Nothing: this build has no network code.
///
/// # Errors
/// [`HttpsError::NotBuilt`].
#[cfg(not(feature = "https"))]
pub fn get(_url: &str, _limit: usize, _network: &Network) -> Result<Vec<u8>, HttpsError> {
    Err(HttpsError::NotBuilt)
}

/// Why nothing was got.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HttpsError {
    /// A build without the feature `https`.
    #[error("this dotsops was built without https")]
    NotBuilt,
    /// No address of that host is known.
    #[error("no such host is known here, or there is no network")]
    NoHost,
    /// It does not answer.
    #[error("there is no connection: {0}")]
    NoConnection(std::io::ErrorKind),
    /// The proxy does not let us through.
    #[error("the proxy does not connect us")]
    Proxy,
    /// A proxy that cannot be used.
    #[error("the proxy that is set cannot be used")]
    ProxyAddress,
    /// There is nothing to check the other side's certificate with.
    #[error("no certificates are found on this machine to check the other side with")]
    NoCertificates,
    /// The other side could be anybody.
    #[error("the other side does not prove that it is that host: {0}")]
    NotTrusted(&'static str),
    /// What is there speaks something else.
    #[error("the other side does not speak https as it should")]
    NotHttps,
    /// It takes too long.
    #[error("it took longer than {0} seconds")]
    TooSlow(u64),
    /// It sends too much.
    #[error("there is more than {0} bytes")]
    TooLong(usize),
    /// It sends us on, to another host or in circles.
    #[error("it sends us on to {0}, where we do not go")]
    Redirect(String),
    /// It has no such thing, or does not give it.
    #[error("the answer is {0}")]
    Status(u16),
}

#[cfg(feature = "https")]
mod with_feature {
    use std::error::Error;
    use std::io;
    use std::sync::Arc;
    use std::time::Instant;

    use rustls::CertificateError;
    use rustls_native_certs::{CertificateResult, load_certs_from_paths, load_native_certs};
    use ureq::http::header::LOCATION;
    use ureq::http::{Response, Uri};
    use ureq::tls::{Certificate, RootCerts, TlsConfig};
    use ureq::{Agent, Body, Proxy, ProxyProtocol, Timeout};

    use super::{HttpsError, Network};

    const MAX_REDIRECTS: usize = 3;

    /// How much of the place that we are sent on to is shown.
    const MAX_SHOWN: usize = 200;

    pub fn get(url: &str, limit: usize, network: &Network) -> Result<Vec<u8>, HttpsError> {
        let start = Instant::now();
        let mut uri: Uri = url.parse().map_err(|_| HttpsError::NoHost)?;
        let agent = agent(network)?;
        let failed = |error| understood(error, limit, network);
        for _ in 0..=MAX_REDIRECTS {
            let left = network.patience.saturating_sub(start.elapsed());
            let request = agent.get(&uri).config().timeout_global(Some(left)).build();
            let mut response = request.call().map_err(failed)?;
            match response.status().as_u16() {
                200 => return response.body_mut().with_config().limit(limit as u64).read_to_vec().map_err(failed),
                301 | 302 | 303 | 307 | 308 => uri = next(&uri, &response)?,
                status => return Err(HttpsError::Status(status)),
            }
        }
        Err(HttpsError::Redirect(uri.to_string()))
    }

    fn agent(network: &Network) -> Result<Agent, HttpsError> {
        let tls = TlsConfig::builder()
            .unversioned_rustls_crypto_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .root_certs(RootCerts::Specific(Arc::new(certificates(network)?)))
            .build();
        let config = Agent::config_builder()
            .https_only(true)
            .tls_config(tls)
            .proxy(proxy(network)?)
            .timeout_connect(Some(network.until_connected))
            .max_redirects(0)
            .max_redirects_will_error(false)
            .http_status_as_error(false)
            .user_agent("dotsops")
            .accept("text/plain, */*;q=0.1");
        Ok(config.build().new_agent())
    }

    /// What the other side's certificate must be signed by.
    fn certificates(network: &Network) -> Result<Vec<Certificate<'static>>, HttpsError> {
        let Network { certificates, certificate_folders, .. } = network;
        let found: Vec<CertificateResult> = match certificates {
            None if certificate_folders.is_empty() => vec![load_native_certs()],
            file => {
                let file = load_certs_from_paths(file.as_deref(), None);
                let folders = certificate_folders.iter().map(|folder| load_certs_from_paths(None, Some(folder)));
                [file].into_iter().chain(folders).collect()
            }
        };
        let owned = |certificate: &[u8]| Certificate::from_der(certificate).to_owned();
        let found: Vec<_> = found.iter().flat_map(|found| &found.certs).map(|certificate| owned(certificate)).collect();
        if found.is_empty() { Err(HttpsError::NoCertificates) } else { Ok(found) }
    }

    fn proxy(network: &Network) -> Result<Option<Proxy>, HttpsError> {
        let Some(address) = &network.proxy else { return Ok(None) };
        let unusable = |_| HttpsError::ProxyAddress;
        let proxy = Proxy::new(address).map_err(unusable)?;
        if !matches!(proxy.protocol(), ProxyProtocol::Http | ProxyProtocol::Https) {
            return Err(HttpsError::ProxyAddress);
        }
        let mut same = Proxy::builder(proxy.protocol()).host(proxy.host()).port(proxy.port());
        if let Some(name) = proxy.username() {
            same = same.username(name);
        }
        if let Some(password) = proxy.password() {
            same = same.password(password);
        }
        for host in network.direct.iter().flat_map(|list| list.split(',')).map(str::trim).filter(|host| !host.is_empty()) {
            same = same.no_proxy(host);
        }
        same.build().map(Some).map_err(unusable)
    }

    /// Where `response` sends us on to, if that is on the same host.
    fn next(from: &Uri, response: &Response<Body>) -> Result<Uri, HttpsError> {
        let place = response.headers().get(LOCATION).map(|place| String::from_utf8_lossy(place.as_bytes()).into_owned());
        let place = place.unwrap_or_default();
        let refused = || HttpsError::Redirect(place.chars().take(MAX_SHOWN).collect());
        let authority = from.authority().ok_or_else(refused)?;
        let whole = if place.starts_with('/') && !place.starts_with("//") {
            format!("https://{authority}{place}")
        } else {
            place.clone()
        };
        let uri: Uri = whole.parse().map_err(|_| refused())?;
        let is_same = uri.scheme_str() == Some("https")
            && uri.authority().is_some_and(|other| !other.as_str().contains('@'))
            && uri.host().is_some_and(|host| host.eq_ignore_ascii_case(authority.host()))
            && uri.port_u16().unwrap_or(443) == authority.port_u16().unwrap_or(443);
        if is_same { Ok(uri) } else { Err(refused()) }
    }

    fn understood(error: ureq::Error, limit: usize, network: &Network) -> HttpsError {
        match error {
            ureq::Error::Timeout(Timeout::Connect) => HttpsError::TooSlow(network.until_connected.as_secs()),
            ureq::Error::Timeout(_) => HttpsError::TooSlow(network.patience.as_secs()),
            ureq::Error::HostNotFound => HttpsError::NoHost,
            ureq::Error::InvalidProxyUrl => HttpsError::ProxyAddress,
            ureq::Error::ConnectProxyFailed(_) => HttpsError::Proxy,
            ureq::Error::BodyExceedsLimit(_) => HttpsError::TooLong(limit),
            ureq::Error::Rustls(error) => of_tls(&error),
            ureq::Error::Io(error) => of_io(&error),
            _ => HttpsError::NotHttps,
        }
    }

    fn of_io(error: &io::Error) -> HttpsError {
        let source = error.get_ref().map(|source| source as &(dyn Error + 'static));
        match source.and_then(|source| source.downcast_ref::<rustls::Error>()) {
            Some(error) => of_tls(error),
            None if matches!(error.kind(), io::ErrorKind::UnexpectedEof | io::ErrorKind::InvalidData) => HttpsError::NotHttps,
            None if error.raw_os_error().is_some() => HttpsError::NoConnection(error.kind()),
            // The resolver's errors are none of the system's.
            None => HttpsError::NoHost,
        }
    }

    fn of_tls(error: &rustls::Error) -> HttpsError {
        let rustls::Error::InvalidCertificate(error) = error else { return HttpsError::NotHttps };
        HttpsError::NotTrusted(match error {
            CertificateError::UnknownIssuer => "its certificate is signed by nobody that this machine trusts",
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => "its certificate has expired",
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => "its certificate is not valid yet",
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                "its certificate is another host's"
            }
            _ => "its certificate is not valid",
        })
    }
}
