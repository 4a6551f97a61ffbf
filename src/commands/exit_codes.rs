//! `aifx exit-codes`: what each exit status means; the same text is `aifx help exit-codes`.

use crate::{fault::Exit, ui::Ui};

/// The contract of DESIGN section 4.
pub(super) const LONG_ABOUT: &str = "\
Exit statuses, the whole list:

    0  done, or rightly not done: already done for this period, a recorded skip,
       a candidate that the gate kept in staging
    2  usage: the command line was wrong
    3  configuration, environment or clock
    4  input data refused
    5  database unreachable; safe to run again
    6  another run holds the lock
    7  an artifact or the registry failed verification
    8  an explicit promote was refused by the gate
    9  disk, permission or memory
   10  deadline passed
  130  interrupted cleanly (SIGINT)
  143  terminated cleanly (SIGTERM)

1, 101, 134 and 139 are bugs: please report them with what you ran.";

pub(super) fn run(ui: &mut Ui) -> anyhow::Result<Exit> {
    ui.raw(format!("{LONG_ABOUT}\n").as_bytes())?;
    Ok(Exit::Done)
}
