use super::*;
use crate::keys::age::armor;
use crate::keys::age::generate::generate_post_quantum_identity;
use crate::keys::outside::{Ask, NoAnswer, Question};
use crate::secret::SecretString;

const RECIPIENT: &str = "age1syfl80l704uvg7exdg67ljh39xhns9ch8twtxyxqh46kjkdc2sqssdu40w";
const IDENTITY: &str = "AGE-SECRET-KEY-1UWHKKUN6W4VPL5WGMKP890C4PH7C2KZQ0N4DN4TP3N9N3MZYKWDQSRUPA8";
const ED25519: &str = include_str!("../../../tests/vectors/ssh/throwaway_ed25519.pub");
const ECDSA: &str = include_str!("../../../tests/vectors/ssh/throwaway_ecdsa.pub");
const RSA_1024: &str = include_str!("../../../tests/vectors/ssh/throwaway_rsa_1024.pub");

fn parsed(text: &str) -> Result<GivenKey, GivenError> {
    GivenKey::parse(OsStr::new(text))
}

fn read(given: &GivenKey) -> Result<Offer, GivenError> {
    given.read(&Network::default(), &Outside::default())
}

/// What a file with `text` in it offers.
fn of_file(text: &[u8]) -> Result<Offer, GivenError> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("keys");
    std::fs::write(&path, text).unwrap();
    read(&GivenKey::File(path))
}

/// What an address with `text` in it offers.
fn of_address(text: &str) -> Offer {
    lines::read(text.as_bytes(), Place::Address).unwrap()
}

fn bare(line: &str) -> String {
    line.split(' ').take(2).collect::<Vec<_>>().join(" ").trim().to_owned()
}

fn told(offer: &Offer) -> Vec<String> {
    offer.unusable.iter().map(ToString::to_string).collect()
}

#[test]
fn each_word_is_understood_for_what_it_is() {
    let recipient = |text: &str| assert_eq!(parsed(text), Ok(GivenKey::Recipient(text.trim().to_owned())), "{text}");
    recipient(RECIPIENT);
    recipient(&generate_post_quantum_identity().unwrap().recipient);
    recipient("age1yubikey1qqqq");
    recipient(&format!(" {ED25519}"));
    recipient(ECDSA.trim());
    let file = |text: &str| assert_eq!(parsed(text), Ok(GivenKey::File(text.into())), "{text}");
    ["keys.txt", "~/.ssh/id_ed25519.pub", "./age1x", "alice", "age1.pub", "age1/x", "C:\\keys"].into_iter().for_each(file);
    let address = |text: &str, url: &str| match parsed(text) {
        Ok(GivenKey::Address(address)) => assert_eq!(address.url, url),
        other => panic!("{text}: {other:?}"),
    };
    address("github:alice", "https://github.com/alice.keys");
    address("https://example.org/alice.keys", "https://example.org/alice.keys");
    address("HTTPS://Example.org:8443/a?b=c#d", "https://Example.org:8443/a?b=c");
    address("https://[::1]:8443/a", "https://[::1]:8443/a");
}

#[test]
fn a_user_at_github_leads_to_github_and_nowhere_else() {
    for name in ["alice", "a", "Alice-B", "a1-", "alice_corp", &"a".repeat(39)] {
        assert_eq!(Address::github(name).map(|address| address.url), Ok(format!("https://github.com/{name}.keys")));
    }
    let long = "a".repeat(40);
    for name in ["", "-a", "_a", ".", "..", "a/b", "a.b", "a?b", "a#b", "a%2f", "a b", "a@b", "ä", "a\n", long.as_str()] {
        assert_eq!(Address::github(name), Err(AddressError::User), "{name:?}");
    }
}

#[test]
fn an_address_is_https_has_a_host_and_no_password_and_is_never_repeated() {
    let error = |text: &str| match parsed(text) {
        Err(GivenError::Address(error)) => error,
        other => panic!("{text}: {other:?}"),
    };
    for text in ["http://example.org/a", "ftp://example.org", "file:///etc/passwd", "ssh://h", "://h", "httpss://h"] {
        assert_eq!(error(text), AddressError::Scheme, "{text}");
    }
    for text in
        ["https://h/a b", "https://h\\@other/", "https://h/\u{202e}", "https://exämple.org", "https://h/\u{7f}", "https://h/<"]
    {
        assert_eq!(error(text), AddressError::Character, "{text}");
    }
    for text in ["https://me:hunter2@example.org/", "https://github.com@evil.example/alice.keys"] {
        assert_eq!(error(text), AddressError::Password, "{text}");
        assert!(!error(text).to_string().contains("hunter2"));
    }
    for text in [
        "https://",
        "https:///a",
        "https://:443/",
        "https://h:/",
        "https://h:0/",
        "https://h:65536/",
        "https://[::1",
        "https://a:b:c/",
    ] {
        assert_eq!(error(text), AddressError::Host, "{text}");
    }
}

#[test]
fn a_key_of_another_kind_is_named_as_not_supported_yet() {
    let of = |text: &str| match parsed(text) {
        Err(GivenError::Recipient(RecipientError::KindNotSupported(kind))) => kind,
        other => panic!("{text}: {other:?}"),
    };
    assert_eq!(of("arn:aws:kms:eu-central-1:1:key/x"), Kind::Kms);
    assert_eq!(of("projects/p/locations/global/keyRings/r/cryptoKeys/k"), Kind::GcpKms);
    assert_eq!(of("https://v.vault.azure.net/keys/k/1"), Kind::AzureKv);
    assert_eq!(of("85D77543B3D624B63CEA9E6DBC17301B491B3F21"), Kind::Pgp);
}

#[test]
fn a_private_key_given_for_a_public_one_is_refused_and_not_repeated() {
    for text in [IDENTITY, &IDENTITY.to_lowercase(), "AGE-PLUGIN-YUBIKEY-1QQQ", "-----BEGIN OPENSSH PRIVATE KEY-----\nx"] {
        let error = parsed(text).unwrap_err();
        assert_eq!(error, GivenError::Recipient(RecipientError::PrivateKey));
        assert!(!error.to_string().contains(&text[10..]));
    }
}

#[test]
fn a_single_key_is_offered_with_its_comment_and_the_fingerprint_that_people_compare() {
    let one = |text: &str| read(&parsed(text).unwrap()).unwrap().candidates.remove(0);
    let age = one(RECIPIENT);
    assert_eq!((age.recipient.as_str(), age.fingerprint.as_str(), age.comment), (RECIPIENT, RECIPIENT, None));
    let ssh = one(&format!("{}\t alice at  home", bare(ED25519)));
    assert_eq!((ssh.recipient, ssh.comment.as_deref()), (bare(ED25519), Some("alice at  home")));
    let error = |text: &str| read(&parsed(text).unwrap()).unwrap_err().to_string();
    assert_eq!(error(&RECIPIENT[..50]), "the age recipient is damaged");
    assert_eq!(error(ECDSA), "this is an SSH key of type ecdsa-sha2-nistp256; age can use ssh-ed25519 and ssh-rsa only");
    assert_eq!(error(RSA_1024), "the ssh-rsa key has less than 2048 bits, too few to be safe");
    assert!(matches!(read(&parsed(&format!("{RECIPIENT} x")).unwrap()), Err(GivenError::Recipient(RecipientError::Unknown))));
}

#[test]
fn a_list_offers_each_key_once_and_says_of_every_other_line_why_not() {
    let sk = "sk-ssh-ed25519@openssh.com AAAA laptop";
    let cert = "ssh-ed25519-cert-v01@openssh.com AAAA";
    let text = format!(
        "\u{feff}# mine\r\n{ED25519}\n  {RECIPIENT} # ci\r\n{}\n{ECDSA}{RSA_1024}{sk}\n{cert}\nssh-dss AAAA\nfrom=\"10.0.0.1\",no-pty {ED25519}\
         ssh-ed25519 AAAA\nhello\nAGE1QQ\n",
        bare(ED25519)
    );
    for offer in [of_file(text.as_bytes()).unwrap(), of_address(&text)] {
        let found: Vec<_> = offer.candidates.iter().map(|found| (found.recipient.as_str(), found.comment.as_deref())).collect();
        assert_eq!(
            found,
            [
                (
                    bare(ED25519).as_str(),
                    ED25519.trim().split_once(' ').and_then(|(_, rest)| rest.split_once(' ')).map(|(_, comment)| comment)
                ),
                (RECIPIENT, Some("ci"))
            ]
        );
        assert!(!offer.is_private);
        let of_type = |line: usize, kind: &str| {
            format!("line {line}: this is an SSH key of type {kind}; age can use ssh-ed25519 and ssh-rsa only")
        };
        let expected = [
            of_type(6, "ecdsa-sha2-nistp256"),
            "line 7: the ssh-rsa key has less than 2048 bits, too few to be safe".into(),
            of_type(8, "sk-ssh-ed25519@openssh.com"),
            of_type(9, "ssh-ed25519-cert-v01@openssh.com"),
            of_type(10, "ssh-dss"),
            "line 11: there are options before the SSH key, which limit what it may be used for".into(),
            "line 12: the SSH public key (ssh-ed25519) is damaged".into(),
            "line 13: this is neither an age recipient (age1…) nor an SSH public key (ssh-ed25519 …, ssh-rsa …)".into(),
            "line 14: the age recipient has capitals in it".into(),
        ];
        assert_eq!(told(&offer), expected);
    }
}

#[test]
fn an_identity_file_offers_what_is_derived_from_it_and_never_what_its_comment_claims() {
    let other = "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p";
    let quantum = generate_post_quantum_identity().unwrap();
    let text = format!("# public key: {other}\n{IDENTITY}\n{}\n{}\n", quantum.secret.expose(), &IDENTITY[..60]);
    let offer = of_file(text.as_bytes()).unwrap();
    let found: Vec<_> = offer.candidates.iter().map(|found| found.recipient.as_str()).collect();
    assert_eq!(found, [RECIPIENT, quantum.recipient.as_str()]);
    assert!(offer.is_private);
    assert_eq!(told(&offer), ["line 4: it is a damaged age identity"]);
    let plugin = bech32::encode::<bech32::Bech32>(bech32::Hrp::parse("age-plugin-fake-").unwrap(), &[7; 20]).unwrap();
    let offer = of_file(plugin.to_uppercase().as_bytes()).unwrap();
    assert_eq!(told(&offer), ["line 1: it is an identity of age-plugin-fake, which does not tell its public key"]);
}

/// Knows the passphrase.
struct Knows;

impl Ask for Knows {
    fn answer(&self, _question: &Question<'_>) -> Result<SecretString, NoAnswer> {
        Ok(SecretString::copy_of("tango"))
    }

    fn confirm(&self, _question: &Question<'_>) -> Result<bool, NoAnswer> {
        Err(NoAnswer::Nobody)
    }

    fn show(&self, _plugin: &str, _message: &str) -> Result<(), NoAnswer> {
        Err(NoAnswer::Nobody)
    }
}

#[test]
fn an_identity_file_with_a_passphrase_offers_its_public_halves_once_that_is_given() {
    let mut recipient = age::scrypt::Recipient::new(age::secrecy::SecretString::from("tango".to_owned()));
    recipient.set_work_factor(2);
    let locked = age::encrypt(&recipient, format!("# mine\n{IDENTITY}\n").as_bytes()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let given = GivenKey::File(folder.path().join("keys.txt"));
    for bytes in [armor::encode(&locked).into_bytes(), locked] {
        std::fs::write(folder.path().join("keys.txt"), bytes).unwrap();
        assert!(matches!(read(&given), Err(GivenError::File { problem: IdentityProblem::NobodyToAsk, .. })));
        let outside = Outside { ask: Box::new(Knows), ..Outside::default() };
        let offer = given.read(&Network::default(), &outside).unwrap();
        assert!(offer.is_private && offer.unusable.is_empty());
        assert_eq!(offer.candidates.iter().map(|found| found.recipient.as_str()).collect::<Vec<_>>(), [RECIPIENT]);
    }
}

#[test]
fn an_ssh_private_key_offers_its_public_half_without_its_passphrase() {
    for name in ["ed25519", "rsa_2048", "ed25519_passphrase"] {
        let path = |end: &str| PathBuf::from(format!("{}/tests/vectors/ssh/throwaway_{name}{end}", env!("CARGO_MANIFEST_DIR")));
        let offer = read(&GivenKey::File(path(""))).unwrap();
        let public = bare(&std::fs::read_to_string(path(".pub")).unwrap());
        assert_eq!(offer.candidates.iter().map(|found| found.recipient.clone()).collect::<Vec<_>>(), [public], "{name}");
        assert!(offer.is_private && offer.unusable.is_empty());
        assert!(!read(&GivenKey::File(path(".pub"))).unwrap().is_private);
    }
    let ecdsa = include_bytes!("../../../tests/vectors/ssh/throwaway_ecdsa");
    assert!(matches!(of_file(ecdsa), Err(GivenError::File { problem: IdentityProblem::SshType { .. }, .. })));
}

#[test]
fn a_private_key_that_others_can_see_is_told_once_and_offered_never() {
    let pem = include_str!("../../../tests/vectors/ssh/throwaway_ed25519");
    let offer = of_address(&format!("{ED25519}{pem}{IDENTITY}\nx {}\n{RECIPIENT}\n", IDENTITY.to_lowercase()));
    assert_eq!(offer.candidates.len(), 2);
    assert!(offer.unusable.iter().all(|unusable| unusable.why == Reason::Published));
    let lines: Vec<_> = offer.unusable.iter().map(|unusable| unusable.line).collect();
    let after = 2 + pem.lines().count();
    assert_eq!(lines, [2, after, after + 1]);
    assert!(told(&offer)[0].ends_with("must be thrown away"));
}

#[test]
fn where_nothing_looks_like_a_key_there_is_none() {
    for text in ["", "# nothing\n\n", "<!doctype html>\n<p>Not Found\n", "A=1\nB=2\n"] {
        assert!(matches!(of_file(text.as_bytes()), Err(GivenError::NoKeys { .. })), "{text}");
    }
    assert!(matches!(of_file(&[0xff, 0xfe, b'a']), Err(GivenError::File { problem: IdentityProblem::NotText, .. })));
    assert!(matches!(of_file("x\n".repeat(MAX_LINES + 1).as_bytes()), Err(GivenError::TooMany { .. })));
    let folder = tempfile::tempdir().unwrap();
    let missing = GivenKey::File(folder.path().join("alice"));
    let error = read(&missing).unwrap_err().to_string();
    assert!(error.starts_with("there is no file ") && error.contains("github:USER"), "{error}");
    assert!(matches!(
        read(&GivenKey::File(folder.path().into())),
        Err(GivenError::File { problem: IdentityProblem::NotAFile, .. })
    ));
}
