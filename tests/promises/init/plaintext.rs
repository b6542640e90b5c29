//! A plaintext `.env` is encrypted, and then deleted, if somebody says yes to each.

use super::repository;
use crate::support::pty::Pty;

const ENCRYPT: &str = "Encrypt .env into secrets.env? [y/N] ";
const DELETE: &str = "Delete the plaintext .env? [y/N] ";
const PLAINTEXT: &str = "A=canary\n";

#[test]
fn a_plaintext_is_encrypted_and_deleted_only_if_somebody_says_yes_to_each() {
    for (encrypts, deletes, said) in [
        ("n\n", None, "left as it is; `dotsops encrypt -o secrets.env .env` encrypts it"),
        ("\n", None, "left as it is"),
        ("y\n", Some("n\n"), "to do: rm .env, once"),
        ("y\n", Some("\n"), "to do: rm .env, once"),
        ("yes\n", Some("y\n"), ".env: deleted"),
    ] {
        let Some(sandbox) = repository() else { return };
        sandbox.write(".env", PLAINTEXT);
        let mut terminal = Pty::run(&mut sandbox.dotsops(["init"]));
        terminal.wait_for("a recovery key to be kept offline? [y/N] ");
        terminal.type_keys("n\n");
        terminal.wait_for(ENCRYPT);
        assert!(!sandbox.path("secrets.env").exists() && sandbox.read(".env") == PLAINTEXT);
        terminal.type_keys(encrypts);
        if let Some(deletes) = deletes {
            terminal.wait_for(DELETE);
            // Whoever is asked can look first: the new file opens by now.
            assert_eq!(sandbox.run(&["decrypt", "secrets.env"]).stdout, PLAINTEXT);
            assert_eq!(sandbox.read(".env"), PLAINTEXT);
            terminal.type_keys(deletes);
        }
        let (code, shown) = terminal.end();
        assert_eq!(code, 0, "{shown}");
        assert!(shown.contains(said) && !shown.contains("canary"), "{said}: {shown}");
        assert_eq!(shown.contains(DELETE), deletes.is_some(), "{shown}");
        assert_eq!(sandbox.path(".env").exists(), deletes != Some("y\n"), "{shown}");
        match deletes {
            None => assert!(!sandbox.path("secrets.env").exists(), "{shown}"),
            Some(_) => assert_eq!(sandbox.run(&["decrypt", "secrets.env"]).stdout, PLAINTEXT, "{shown}"),
        }
    }
}
