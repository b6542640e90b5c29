//! Who the user is: an identity, made if there is none.

use super::Ready;
use crate::cli::commands::keygen;
use crate::cli::failure::Failure;
use crate::keys::age::generate::generate_identity;

impl Ready<'_> {
    /// The user's public key; makes an identity if there is none.
    pub(super) fn identity(&mut self) -> Result<String, Failure> {
        let mut held = self.keyring.recipients();
        if held.is_empty() && self.keyring.may_hold_more() {
            self.keyring.reach_for_all();
            held = self.keyring.recipients();
        }
        // An age key of one's own before an SSH key, which is also used to log in.
        let own = held.iter().find(|(_, recipient)| recipient.starts_with("age1")).or(held.first());
        if let Some((origin, recipient)) = own {
            self.say(format_args!("identity: {recipient} from {origin}"))?;
            return Ok(recipient.clone());
        }
        let path = self.surroundings.environment.key_file().ok_or_else(Failure::no_home)?;
        if self.arguments.dry_run {
            self.say(format_args!("identity: would be new in {}", path.display()))?;
            return Ok(generate_identity().recipient);
        }
        let recipient = keygen::create(&path, generate_identity(), None, self.surroundings)?;
        self.say(format_args!("identity: {recipient}, new in {}; keep a copy of that file in a safe place", path.display()))?;
        keygen::warn_of_repository(&path, self.surroundings);
        self.keyring = self.surroundings.environment.keyring();
        Ok(recipient)
    }
}
