//! The one error that carries an exit status. Core rooms return their own small enums; the room that knows what
//! the operator should do next turns one into a [`Fault`], anyhow carries it up, and only `main` prints it.
//!
//! Not here: printing, and the wording of any particular failure.

use std::fmt;

/// Exit statuses of DESIGN section 4, the whole list. 1, 101, 134 and 139 are bugs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Exit {
    /// Done, or rightly not done.
    Done,
    /// A bug: never returned on purpose.
    Bug,
    /// The command line was wrong.
    Usage,
    /// Configuration, environment or clock.
    Config,
    /// Input data refused.
    Input,
    /// Database unreachable; safe to run again.
    Database,
    /// Another run holds the lock.
    Locked,
    /// An artifact or the registry failed verification.
    Integrity,
    /// An explicit `promote` was refused by the gate.
    Refused,
    /// Disk, permission or memory.
    Resource,
    /// Deadline passed.
    Deadline,
    /// SIGINT, stopped cleanly.
    Interrupted,
    /// SIGTERM, stopped cleanly.
    Terminated,
}

impl Exit {
    /// The process exit status.
    pub fn code(self) -> u8 {
        match self {
            Exit::Done => 0,
            Exit::Bug => 1,
            Exit::Usage => 2,
            Exit::Config => 3,
            Exit::Input => 4,
            Exit::Database => 5,
            Exit::Locked => 6,
            Exit::Integrity => 7,
            Exit::Refused => 8,
            Exit::Resource => 9,
            Exit::Deadline => 10,
            Exit::Interrupted => 130,
            Exit::Terminated => 143,
        }
    }
}

/// Why something could not be done, with the exit status it deserves and what to do next.
///
/// `why` and `hint` are lower case, without a full stop and never hold a secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    exit: Exit,
    why: String,
    hint: Option<String>,
}

impl Fault {
    /// A fault with the given exit status.
    pub fn new(exit: Exit, why: impl fmt::Display) -> Self {
        Fault { exit, why: why.to_string(), hint: None }
    }

    /// Exit 2: the command line was wrong.
    pub fn usage(why: impl fmt::Display) -> Self {
        Fault::new(Exit::Usage, why)
    }

    /// Exit 3: configuration, environment or clock.
    pub fn config(why: impl fmt::Display) -> Self {
        Fault::new(Exit::Config, why)
    }

    /// Exit 4: input data refused.
    pub fn input(why: impl fmt::Display) -> Self {
        Fault::new(Exit::Input, why)
    }

    /// Exit 5: database unreachable, safe to run again.
    pub fn database(why: impl fmt::Display) -> Self {
        Fault::new(Exit::Database, why)
    }

    /// Exit 6: another run holds the lock.
    pub fn locked(why: impl fmt::Display) -> Self {
        Fault::new(Exit::Locked, why)
    }

    /// Exit 7: an artifact or the registry failed verification.
    pub fn integrity(why: impl fmt::Display) -> Self {
        Fault::new(Exit::Integrity, why)
    }

    /// Exit 9: disk, permission or memory.
    pub fn resource(why: impl fmt::Display) -> Self {
        Fault::new(Exit::Resource, why)
    }

    /// Says what to do next.
    #[must_use]
    pub fn hint(mut self, hint: impl fmt::Display) -> Self {
        self.hint = Some(hint.to_string());
        self
    }

    /// The exit status that this fault deserves.
    pub fn exit(&self) -> Exit {
        self.exit
    }

    /// What to do next, where that is known.
    pub fn hint_text(&self) -> Option<&str> {
        self.hint.as_deref()
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.why)
    }
}

impl std::error::Error for Fault {}

/// The fault inside an error that anyhow carried up, if some layer made one.
pub fn find(error: &anyhow::Error) -> Option<&Fault> {
    error.chain().find_map(|cause| cause.downcast_ref::<Fault>())
}

/// Whether it is about input data: one series of many may be so, and the others go on.
pub fn is_input(error: &anyhow::Error) -> bool {
    find(error).is_some_and(|fault| fault.exit() == Exit::Input)
}

/// Whether it is about the database: nothing that needs it would go better.
pub fn is_database(error: &anyhow::Error) -> bool {
    find(error).is_some_and(|fault| fault.exit() == Exit::Database)
}

#[cfg(test)]
mod tests {
    use anyhow::Context;

    use super::*;

    #[test]
    fn a_fault_keeps_its_exit_and_hint_under_contexts() {
        let result: anyhow::Result<()> =
            Err(Fault::input("high 1.0711 is below close 1.0714").hint("fix the row").into());
        let error =
            result.context("line 1042").context("cannot import a.csv").expect_err("made to fail");
        let fault = find(&error).expect("a fault is inside");
        assert_eq!(fault.exit(), Exit::Input);
        assert_eq!(fault.hint_text(), Some("fix the row"));
        assert_eq!(
            format!("{error:#}"),
            "cannot import a.csv: line 1042: high 1.0711 is below close 1.0714"
        );
    }
}
