//! Metadata of every kind of key: read, kept byte for byte, opened with age where it can be, and named where it cannot.

use dotsops::document::EncryptedDocument;
use dotsops::format::dotenv::Dotenv;
use dotsops::format::{Contents, Format};
use dotsops::keys::Kind;
use dotsops::keys::keyring::Keyring;
use dotsops::keys::source::{IdentitySource, Material, Origin};
use dotsops::secret::SecretString;

use crate::support::document::{copy_of, decrypted, encrypted_again, keyring, lines, open, text_of, with_value};
use crate::support::sandbox::{IDENTITY, Sandbox};
use crate::support::sops::Sops;

/// Made by sops with an age and a PGP key, with a PGP key alone, and with two groups of one age key each.
const PGP_AND_AGE: &str = include_str!("../vectors/metadata/pgp_and_age.env");
const PGP: &str = include_str!("../vectors/metadata/pgp.env");
const TWO_GROUPS: &str = include_str!("../vectors/metadata/two_key_groups.env");

/// The key of the second group; the first is [`IDENTITY`].
const SECOND_IDENTITY: &str = "AGE-SECRET-KEY-1JJKW88W8Z8RHKCVXGF5EWTLSCNJ59VSKWD06SKJGFTPYA8EKWNKSZCL49W";

/// The plaintext of all of them.
const PLAINTEXT: &str = "# two keys\nAPI_KEY=hunter2\nEMPTY=\nMODE_unencrypted=dev\n";

/// Entries of the kinds that no test can have made by a real service, and fields that nobody knows yet.
const FOREIGN: &str = "\
sops_azure_kv__list_0__map_created_at=2026-01-02T03:04:05Z
sops_azure_kv__list_0__map_enc=AzureEnc-_
sops_azure_kv__list_0__map_name=key
sops_azure_kv__list_0__map_vault_url=https://example.vault.azure.net
sops_azure_kv__list_0__map_version=0123456789abcdef
sops_gcp_kms__list_0__map_created_at=2026-01-02T03:04:05+01:00
sops_gcp_kms__list_0__map_enc=CiQA
sops_gcp_kms__list_0__map_resource_id=projects/p/locations/global/keyRings/r/cryptoKeys/k
sops_hc_vault__list_0__map_created_at=2026-01-02T03:04:05Z
sops_hc_vault__list_0__map_enc=vault:v1:AAAA
sops_hc_vault__list_0__map_engine_path=transit
sops_hc_vault__list_0__map_key_name=k
sops_hc_vault__list_0__map_vault_address=https://vault.example.org:8200
sops_hckms__list_0__map_created_at=2026-01-02T03:04:05Z
sops_hckms__list_0__map_enc=AgAA
sops_hckms__list_0__map_key_id=eu-west-101:00000000-0000-0000-0000-000000000000
sops_kms__list_0__map_arn=arn:aws:kms:us-east-1:111122223333:key/one
sops_kms__list_0__map_aws_profile=
sops_kms__list_0__map_context__map_env=prod
sops_kms__list_0__map_context__map_tenant=a b
sops_kms__list_0__map_created_at=2026-01-02T03:04:05Z
sops_kms__list_0__map_enc=AQICAHh=
sops_kms__list_0__map_future=kept
sops_kms__list_1__map_arn=arn:aws:kms:us-east-1:111122223333:key/two
sops_kms__list_1__map_aws_profile=dev
sops_kms__list_1__map_created_at=2026-01-02T03:04:05.5Z
sops_kms__list_1__map_enc=AQICAHi=
sops_kms__list_1__map_role=arn:aws:iam::111122223333:role/r
sops_zz_future__list_0__map_a=kept
sops_zz_future__list_0__map_b__list_0=kept\\ntoo
sops_zz_future__list_1__map_a=kept
";

/// [`PGP_AND_AGE`] with all of [`FOREIGN`], its metadata in sops's order.
fn every_kind() -> String {
    let (metadata, data): (Vec<&str>, Vec<&str>) = PGP_AND_AGE.lines().partition(|line| line.starts_with("sops_"));
    let mut metadata: Vec<&str> = metadata.into_iter().chain(FOREIGN.lines()).collect();
    metadata.sort_by_key(|line| line.split('=').next());
    data.into_iter().chain(metadata).map(|line| format!("{line}\n")).collect()
}

#[test]
fn every_kind_is_read_named_and_written_back_byte_for_byte() {
    for file in [every_kind().as_str(), PGP_AND_AGE, PGP, TWO_GROUPS] {
        let document = EncryptedDocument::new(Dotenv.parse(file.as_bytes()).unwrap()).ok().unwrap();
        let contents = Contents { tree: document.tree, metadata: Some(document.metadata.to_mapping()) };
        assert_eq!(String::from_utf8(text_of(&contents)).unwrap(), file);
    }
    let document = EncryptedDocument::new(Dotenv.parse(every_kind().as_bytes()).unwrap()).ok().unwrap();
    let [group] = document.metadata.key_groups.as_slice() else { panic!("one group") };
    for kind in Kind::ALL {
        let count = group.keys.iter().filter(|key| key.kind() == kind).count();
        assert_eq!(count, if kind == Kind::Kms { 2 } else { 1 }, "{}", kind.field());
    }
    // The order in which sops reads the lists, which is the order of trying for the kinds behind age and PGP.
    assert!(group.keys.is_sorted_by_key(|key| Kind::ALL.iter().position(|kind| *kind == key.kind())));
}

#[test]
fn an_age_key_among_others_opens_the_file_and_an_edit_keeps_them_all() {
    for file in [every_kind(), PGP_AND_AGE.to_owned()] {
        assert_eq!(decrypted(file.as_bytes(), &keyring()).unwrap(), PLAINTEXT.as_bytes());
        let sandbox = Sandbox::with_identity();
        sandbox.write("secrets.env", &file);
        let prepared = sandbox.write("prepared", PLAINTEXT.replace("hunter2", "hunter3"));
        let ended = sandbox.run(&["edit", "--editor", &format!("cp {}", prepared.display()), "secrets.env"]);
        assert_eq!(ended.code, 0, "{}", ended.stderr);
        assert_eq!(changed(&file, &sandbox.read("secrets.env")), ["API_KEY", "sops_lastmodified", "sops_mac"]);
    }
}

#[test]
fn sops_reads_our_edit_of_a_file_with_every_kind_of_key() {
    let Some(sops) = Sops::find() else { return };
    let mut document = open(every_kind().as_bytes(), &keyring()).unwrap();
    let edited = with_value(&mut document, 1, b"hunter3");
    let expected = PLAINTEXT.replace("hunter2", "hunter3");
    assert_eq!(String::from_utf8(sops.decrypt(&edited).unwrap()).unwrap(), expected);
}

#[test]
fn a_file_with_foreign_keys_alone_names_their_kind() {
    let without = |file: &str, list: &str| -> String {
        file.lines().filter(|line| !line.starts_with(list)).map(|line| format!("{line}\n")).collect()
    };
    let others = without(&without(&every_kind(), "sops_age"), "sops_pgp");
    let lists = ["sops_kms", "sops_gcp_kms", "sops_hckms", "sops_azure_kv", "sops_hc_vault"];
    let titles = ["AWS KMS", "GCP KMS", "Huawei Cloud KMS", "Azure Key Vault", "HashiCorp Vault"];
    let alone =
        |list: &&str| lists.iter().filter(|other| *other != list).fold(others.clone(), |file, other| without(&file, other));
    let mut files: Vec<(String, &str)> = lists.iter().map(alone).zip(titles).collect();
    files.push((PGP.to_owned(), "PGP"));
    for (file, title) in files {
        let sandbox = Sandbox::with_identity();
        sandbox.write("secrets.env", &file);
        let ended = sandbox.run(&["decrypt", "secrets.env"]);
        assert_eq!((ended.code, ended.stdout.as_str()), (4, ""), "{}", ended.stderr);
        assert!(ended.stderr.contains(&format!("encrypted to {title} ")), "{}", ended.stderr);
    }
}

#[test]
fn a_file_of_sops_with_two_key_groups_opens_with_both_keys_and_an_edit_keeps_them() {
    assert!(decrypted(TWO_GROUPS.as_bytes(), &keyring()).is_err());
    let material = Material::Text(SecretString::from_string(format!("{IDENTITY}\n{SECOND_IDENTITY}")));
    let both = Keyring::new(vec![IdentitySource { origin: Origin::Variable("SOPS_AGE_KEY".to_owned()), material }]);
    let mut opened = open(TWO_GROUPS.as_bytes(), &both).unwrap();
    assert_eq!(text_of(&Contents { tree: copy_of(&opened.tree), metadata: None }), PLAINTEXT.as_bytes());
    let tree = copy_of(&opened.tree);
    let again = String::from_utf8(encrypted_again(&mut opened, &tree)).unwrap();
    assert_eq!(changed(TWO_GROUPS, &again), ["sops_lastmodified", "sops_mac"]);

    let Some(sops) = Sops::find() else { return };
    let sops = sops.with_identities(&format!("{IDENTITY}\n{SECOND_IDENTITY}"));
    assert_eq!(sops.decrypt(again.as_bytes()).unwrap(), PLAINTEXT.as_bytes());
}

/// The names of the lines that differ between two files of the same length.
fn changed(before: &str, after: &str) -> Vec<String> {
    let (before, after) = (lines(before.as_bytes()), lines(after.as_bytes()));
    assert_eq!(before.len(), after.len());
    let changed = before.iter().zip(&after).filter(|(before, after)| before != after);
    changed.map(|(_, after)| String::from_utf8_lossy(after).split('=').next().unwrap().to_owned()).collect()
}
