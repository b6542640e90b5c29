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

/// What `recipients add` makes of all that: what it asks, says and writes down.
#[cfg(feature = "https")]
mod let_in {
    use std::path::Path;

    use crate::support::https_server::{Opening, Reply, Server, authority, ok, redirect};
    use crate::support::pty::Pty;
    use crate::support::sandbox::{Ended, IDENTITY, Sandbox, ended};
    use crate::support::trace::{Event, Trace, strace};

    use super::{ECDSA, ED25519};

    /// A key, variables that are set, the exit code, and what is said.
    type Case<'a> = (&'a str, &'a [(&'a str, String)], i32, &'a [&'a str]);

    /// A repository with one encrypted file.
    fn repository() -> Sandbox {
        let sandbox = Sandbox::with_identity();
        sandbox.encrypted("secrets.env", "A=1\n");
        for arguments in [&["init", "-q"][..], &["add", "."]] {
            assert_eq!(ended(sandbox.program(Path::new("git")).args(arguments)).code, 0);
        }
        sandbox
    }

    fn add(sandbox: &Sandbox, key: &str, variables: &[(&str, String)]) -> Ended {
        let mut command = sandbox.dotsops(["recipients", "add", "alice", key, "--yes"]);
        command.env("SSL_CERT_FILE", authority()).envs(variables.iter().map(|(name, value)| (name, value)));
        ended(&mut command)
    }

    fn bare() -> String {
        ED25519.split(' ').take(2).collect::<Vec<_>>().join(" ").trim().to_owned()
    }

    #[test]
    fn the_keys_of_a_user_are_shown_asked_about_and_pinned_by_being_written_down() {
        let sandbox = repository();
        let server = Server::new(Opening::Proxy, |_| Reply::Bytes(ok(&format!("{ED25519}{ECDSA}"))));
        let proxy = [("https_proxy", server.proxy())];
        let mut command = sandbox.dotsops(["recipients", "add", "alice", "github:alice"]);
        command.env("SSL_CERT_FILE", authority()).envs(proxy.iter().map(|(name, value)| (name, value)));
        let fingerprint = "SHA256:";
        let mut pty = Pty::run(&mut command);
        pty.wait_for("Let alice read");
        let before = sandbox.read(".sops.yaml");
        pty.type_keys("y\n");
        pty.wait_for("room for a name?");
        pty.type_keys("y\n");
        let (code, shown) = pty.end();
        assert_eq!(code, 0, "{shown}");
        let (asked, _) = shown.split_once("Let alice read").unwrap();
        assert!(asked.contains(fingerprint) && asked.contains("ecdsa-sha2-nistp256"), "{shown}");
        assert!(!before.contains("ssh-ed25519"), "{before}");
        let after = sandbox.read(".sops.yaml");
        assert!(after.contains(&bare()) && after.contains("# alice") && !after.contains("github"), "{after}");
        assert!(sandbox.read("secrets.env").contains(&bare()));
        // From now on the key counts, and nobody is asked for it again.
        let calls = server.asked().len();
        assert_eq!(calls, 2);
        for line in [&["recipients", "list"][..], &["updatekeys", "--yes"], &["rotate", "secrets.env"]] {
            let mut command = sandbox.dotsops(line);
            let ended = ended(command.envs(proxy.iter().map(|(name, value)| (name, value))));
            assert_eq!(ended.code, 0, "{line:?}: {}", ended.stderr);
        }
        assert_eq!(server.asked().len(), calls);
    }

    #[test]
    fn whatever_kept_a_key_from_being_got_is_said_with_the_next_step_and_nothing_is_changed() {
        let sandbox = repository();
        sandbox.write("ecdsa.pub", ECDSA);
        sandbox.write("page.html", "<html>\n");
        let server = Server::new(Opening::Https, |path| {
            Reply::Bytes(match path {
                "/moved" => redirect("https://keys.example/"),
                "/keys" => ok(ED25519),
                _ => b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n".to_vec(),
            })
        });
        let github = Server::new(Opening::Proxy, |path| {
            Reply::Bytes(if path == "/newcomer.keys" { ok("") } else { b"HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n".to_vec() })
        });
        let by_proxy = [("HTTPS_PROXY", github.proxy())];
        let untrusted = [("SSL_CERT_FILE", authority().with_file_name("server.pem").display().to_string())];
        let no_proxy_there = [("https_proxy", "socks5://localhost".to_owned())];
        let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let cases: &[Case<'_>] = &[
            (IDENTITY, &[], 6, &["private key", "shell's history", "dotsops keygen"]),
            ("http://example.org/alice", &[], 2, &["over https only", "https://example.org/alice.keys"]),
            ("https://me:hunter2@example.org/", &[], 2, &["a password in it"]),
            ("github:../alice", &[], 2, &["no user's name at GitHub", "github:alice"]),
            ("github:nobody", &by_proxy, 7, &["there is no user nobody at GitHub", "https://github.com/nobody"]),
            ("github:newcomer", &by_proxy, 7, &["newcomer has no SSH keys at GitHub", "or give the key itself"]),
            (&server.url("/none"), &[], 7, &["gave no keys", "the answer is 404", "in a browser"]),
            (&server.url("/moved"), &[], 7, &["sends us on to https://keys.example/", "if you trust that place"]),
            (&server.url("/keys"), &untrusted, 7, &["does not prove", "SSL_CERT_FILE"]),
            (&server.url("/keys"), &no_proxy_there, 7, &["proxy that is set cannot be used", "http://HOST:PORT"]),
            (&format!("https://{nobody}/"), &[], 7, &["no connection: connection refused", "your network"]),
            ("alice", &[], 7, &["there is no file alice", "github:alice would be"]),
            ("ecdsa.pub", &[], 3, &["type ecdsa-sha2-nistp256", "ed25519"]),
            ("page.html", &[], 3, &["there is no public key in page.html", "one to a line"]),
            ("arn:aws:kms:eu-central-1:1:key/x", &[], 3, &["not supported yet", "use sops"]),
            ("age1qqqq", &[], 3, &["damaged", "an age public key (age1…)"]),
        ];
        let before = [".sops.yaml", "secrets.env"].map(|file| sandbox.read(file));
        for (key, variables, code, says) in cases {
            let ended = add(&sandbox, key, variables);
            assert_eq!(ended.code, *code, "{key}: {}", ended.stderr);
            for text in says.iter().chain(&["dotsops: hint: "]) {
                assert!(ended.stderr.contains(text), "{key}, `{text}` is not said: {}", ended.stderr);
            }
            assert!(!ended.stderr.contains("hunter2") && !ended.stderr.contains(&IDENTITY[20..]), "{}", ended.stderr);
        }
        assert_eq!([".sops.yaml", "secrets.env"].map(|file| sandbox.read(file)), before);
    }

    #[test]
    fn a_connection_goes_to_the_address_that_was_given_and_nowhere_else() {
        let Some(strace) = strace() else { return };
        let sandbox = repository();
        let server = Server::of(ED25519);
        let url = server.url("/alice.keys");
        let mut command = sandbox.dotsops(["recipients", "add", "alice", &url, "--yes"]);
        let (mut command, trace) = Trace::of(&strace, command.env("SSL_CERT_FILE", authority()));
        let ended = ended(&mut command);
        assert_eq!(ended.code, 0, "{}", ended.stderr);
        let events = trace.events();
        let calls: Vec<&String> =
            events.iter().filter_map(|event| if let Event::Socket(call) = event { Some(call) } else { None }).collect();
        let connections: Vec<_> = calls.iter().filter(|call| call.starts_with("connect(")).collect();
        let port = url.split([':', '/']).nth(4).unwrap();
        assert_eq!(connections.len(), 1, "{calls:#?}");
        assert!(connections[0].contains("127.0.0.1") && connections[0].contains(port), "{connections:#?}");
    }

    #[test]
    fn text_from_an_address_cannot_drive_the_terminal_or_write_lines_of_its_own() {
        let sandbox = repository();
        let odd = format!("{} \u{1b}[2Jmallory\u{202e}\nssh-dss \u{1b}]0;x\u{7}\n", bare());
        let server = Server::of(&odd);
        let mut command = sandbox.dotsops(["recipients", "add", "alice", &server.url("/"), "--dry-run"]);
        let (code, shown) = Pty::run(command.env("SSL_CERT_FILE", authority())).end();
        assert_eq!(code, 0, "{shown}");
        assert!(shown.contains(r"\x1b[2Jmallory") && !shown.contains('\u{1b}') && !shown.contains('\u{202e}'), "{shown:?}");
    }
}
