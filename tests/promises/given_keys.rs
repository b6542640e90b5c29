//! Keys as people give them: from an address, through a real connection to a server on this machine.
//!
//! What stands in a text of keys is tested beside `src/keys/given.rs`.

use std::ffi::OsStr;

use dotsops::keys::given::{GivenError, GivenKey, Offer};
use dotsops::keys::outside::Outside;
use dotsops::sys::https::{HttpsError, Network};

const ED25519: &str = include_str!("../vectors/ssh/throwaway_ed25519.pub");
const ECDSA: &str = include_str!("../vectors/ssh/throwaway_ecdsa.pub");

fn fetched(word: &str, network: &Network) -> Result<Offer, GivenError> {
    GivenKey::parse(OsStr::new(word)).unwrap().read(network, &Outside::default())
}

fn why_not(word: &str, network: &Network) -> HttpsError {
    match fetched(word, network) {
        Err(GivenError::Fetch { source, .. }) => source,
        other => panic!("{word}: {other:?}"),
    }
}

#[cfg(not(feature = "https"))]
#[test]
fn a_build_without_https_says_so() {
    assert_eq!(why_not("github:alice", &Network::default()), HttpsError::NotBuilt);
}

#[test]
fn a_fingerprint_is_the_one_that_ssh_keygen_shows() {
    use crate::support::peers;
    let Some(ssh_keygen) = peers::peer("ssh-keygen", which::which("ssh-keygen").ok()) else { return };
    for key in ["ed25519", "rsa_2048", "rsa_3072"] {
        let path = format!("{}/tests/vectors/ssh/throwaway_{key}.pub", env!("CARGO_MANIFEST_DIR"));
        let shown = std::process::Command::new(&ssh_keygen).args(["-l", "-f", &path]).output().unwrap();
        let shown = String::from_utf8(shown.stdout).unwrap();
        let offer = fetched(&path, &Network::default()).unwrap();
        assert_eq!(Some(offer.candidates[0].fingerprint.as_str()), shown.split(' ').nth(1), "{key}");
    }
}

#[cfg(feature = "https")]
mod over_https {
    use std::time::{Duration, Instant};

    use super::*;
    use crate::support::https_server::{Opening, Reply, Server, authority, ok, redirect};

    /// A network that trusts the test's servers, and is in a hurry.
    fn network() -> Network {
        let until_connected = Duration::from_secs(20);
        Network { certificates: Some(authority()), until_connected, patience: Duration::from_secs(30), ..Network::default() }
    }

    fn in_a_hurry() -> Network {
        let short = Duration::from_millis(300);
        Network { until_connected: short, patience: short, ..network() }
    }

    fn answering(bytes: Vec<u8>) -> Server {
        Server::new(Opening::Https, move |_| Reply::Bytes(bytes.clone()))
    }

    #[test]
    fn an_address_gives_its_keys_whatever_it_calls_them() {
        let server = Server::of(&format!("{ED25519}{ECDSA}"));
        let offer = fetched(&server.url("/alice.keys"), &network()).unwrap();
        assert_eq!((offer.candidates.len(), offer.unusable.len()), (1, 1));
        assert!(ED25519.starts_with(&offer.candidates[0].recipient));
        assert_eq!(server.asked(), ["GET /alice.keys HTTP/1.1"]);
    }

    #[test]
    fn a_user_at_github_is_asked_for_there_and_through_the_proxy_that_is_set() {
        let server = Server::new(Opening::Proxy, |path| {
            Reply::Bytes(match path {
                "/alice.keys" => ok(ED25519),
                "/newcomer.keys" => ok("\n"),
                _ => b"HTTP/1.1 404 Not Found\r\nContent-Length: 9\r\n\r\nNot Found".to_vec(),
            })
        });
        let network = Network { proxy: Some(server.proxy()), ..network() };
        assert_eq!(fetched("github:alice", &network).unwrap().candidates.len(), 1);
        assert_eq!(server.asked(), ["CONNECT github.com:443 HTTP/1.1", "GET /alice.keys HTTP/1.1"]);
        let said = |word: &str| fetched(word, &network).unwrap_err().to_string();
        assert_eq!(said("github:nobody"), "there is no user nobody at GitHub");
        assert_eq!(said("github:newcomer"), "newcomer has no SSH keys at GitHub");
        // Another address has no user whom it could be about.
        assert_eq!(why_not("https://github.com/nobody.keys", &network), HttpsError::Status(404));
    }

    #[test]
    fn a_host_that_needs_no_proxy_is_reached_without_it() {
        let (server, proxy) = (Server::of(ED25519), Server::new(Opening::Proxy, |_| Reply::Bytes(Vec::new())));
        let network = Network { proxy: Some(proxy.proxy()), direct: Some("example.org, 127.0.0.1".into()), ..network() };
        assert_eq!(fetched(&server.url("/"), &network).unwrap().candidates.len(), 1);
        assert!(proxy.asked().is_empty());
        for odd in ["socks5://127.0.0.1:1", "", "http://", "ftp://h"] {
            let network = Network { proxy: Some(odd.into()), ..network.clone() };
            assert_eq!(why_not(&server.url("/"), &network), HttpsError::ProxyAddress, "{odd}");
        }
    }

    #[test]
    fn a_redirect_is_followed_on_the_same_host_and_nowhere_else() {
        let server = Server::new(Opening::Https, |path| {
            Reply::Bytes(match path {
                "/moved" => redirect("/here"),
                "/here" => ok(ED25519),
                "/circle" => redirect("/circle"),
                "/plain" => redirect("http://127.0.0.1/here"),
                "/other" => redirect("https://localhost/here"),
                "/port" => redirect("https://127.0.0.1:1/here"),
                "/no-scheme" => redirect("//localhost/here"),
                "/user" => redirect("https://127.0.0.1@localhost/"),
                _ => redirect(""),
            })
        });
        assert_eq!(fetched(&server.url("/moved"), &network()).unwrap().candidates.len(), 1);
        for (path, place) in [
            ("/plain", "http://127.0.0.1/here"),
            ("/other", "https://localhost/here"),
            ("/port", "https://127.0.0.1:1/here"),
            ("/no-scheme", "//localhost/here"),
            ("/user", "https://127.0.0.1@localhost/"),
            ("/nothing", ""),
        ] {
            assert_eq!(why_not(&server.url(path), &network()), HttpsError::Redirect(place.into()), "{path}");
        }
        let before = server.asked().len();
        assert!(matches!(why_not(&server.url("/circle"), &network()), HttpsError::Redirect(_)));
        assert_eq!(server.asked().len() - before, 4);
    }

    #[test]
    fn whoever_is_slow_is_given_up() {
        let slow = |server: &Server| {
            let start = Instant::now();
            assert!(matches!(why_not(&server.url("/"), &in_a_hurry()), HttpsError::TooSlow(_)));
            assert!(start.elapsed() < Duration::from_secs(20));
        };
        slow(&Server::new(Opening::Mute, |_| Reply::Bytes(Vec::new())));
        slow(&Server::new(Opening::Https, |_| Reply::Stalls(Vec::new())));
        slow(&Server::new(Opening::Https, |_| Reply::Stalls(b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\nssh-".to_vec())));
    }

    #[test]
    fn no_more_is_taken_than_a_list_of_keys_can_be() {
        let line = format!("# {}\n", "x".repeat(1021));
        let server = Server::of(&line.repeat(65));
        assert_eq!(why_not(&server.url("/"), &network()), HttpsError::TooLong(64 << 10));
        // Not even if the answer does not tell its length.
        let endless = [b"HTTP/1.1 200 OK\r\n\r\n".to_vec(), line.repeat(65).into_bytes()].concat();
        assert_eq!(why_not(&answering(endless).url("/"), &network()), HttpsError::TooLong(64 << 10));
        let full = Server::of(&format!("{ED25519}{}", line.repeat(63)));
        assert_eq!(fetched(&full.url("/"), &network()).unwrap().candidates.len(), 1);
    }

    #[test]
    fn an_answer_without_keys_or_that_is_no_text_has_none() {
        for body in ["", "<html>\n<p>please log in</p>\n", "a\u{0}b"] {
            let error = fetched(&Server::of(body).url("/"), &network()).unwrap_err();
            assert!(matches!(error, GivenError::NoKeys { .. }), "{body}: {error}");
        }
        let picture = [b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n".as_slice(), &[0xff, 0xfe, 0]].concat();
        assert!(matches!(fetched(&answering(picture).url("/"), &network()), Err(GivenError::NoKeys { .. })));
        let status = b"HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n".to_vec();
        assert_eq!(why_not(&answering(status).url("/"), &network()), HttpsError::Status(500));
    }

    #[test]
    fn whoever_does_not_prove_to_be_the_host_is_not_listened_to() {
        let server = Server::of(ED25519);
        let strangers = Network { certificates: Some(authority().with_file_name("server.pem")), ..network() };
        let why = why_not(&server.url("/"), &strangers);
        assert_eq!(why, HttpsError::NotTrusted("its certificate is signed by nobody that this machine trusts"));
        // The machine's own certificates, if it has any, know nothing of the test's authority.
        let system = Network { certificates: None, ..network() };
        assert!(matches!(why_not(&server.url("/"), &system), HttpsError::NotTrusted(_) | HttpsError::NoCertificates));
        let none = Network { certificates: Some(authority().with_file_name("README.md")), ..network() };
        assert_eq!(why_not(&server.url("/"), &none), HttpsError::NoCertificates);
        let missing = Network { certificates: Some(authority().with_file_name("missing.pem")), ..network() };
        assert_eq!(why_not(&server.url("/"), &missing), HttpsError::NoCertificates);
        assert!(server.asked().is_empty());
        let by_proxy = Server::new(Opening::Proxy, |_| Reply::Bytes(ok(ED25519)));
        let network = Network { proxy: Some(by_proxy.proxy()), ..network() };
        let why = why_not("https://gitlab.example/alice.keys", &network);
        assert_eq!(why, HttpsError::NotTrusted("its certificate is another host's"));
        assert_eq!(
            why_not(&Server::new(Opening::Plain, |_| Reply::Bytes(Vec::new())).url("/"), &super::over_https::network()),
            HttpsError::NotHttps
        );
    }

    #[test]
    fn where_nobody_listens_there_is_no_connection() {
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let why = why_not(&format!("https://127.0.0.1:{port}/"), &network());
        assert_eq!(why, HttpsError::NoConnection(std::io::ErrorKind::ConnectionRefused));
    }
}
