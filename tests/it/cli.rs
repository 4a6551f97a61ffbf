//! The command line itself: help, exit statuses, wrong usage, closed pipes.

use crate::support::{Home, Run};

#[test]
fn help_and_exit_codes_end_zero() {
    let home = Home::empty();
    assert!(home.ok(&["--help"]).stdout.contains("Usage: aifx"));
    assert!(home.ok(&["help", "exit-codes"]).stdout.contains("143  terminated cleanly"));
}

#[test]
fn a_wrong_command_line_is_exit_2_in_text_and_json() {
    let home = Home::empty();
    home.run(&["no-such-command"]).refuses(2, &["unrecognized subcommand"]);
    home.run(&["exit-codes", "--as-of", "yesterday"]).refuses(2, &["RFC 3339"]);
    let run = home.run(&["--json", "no-such-command"]);
    assert_eq!(run.document()["error"]["exit"], 2);
}

#[test]
fn arguments_that_are_not_utf8_are_refused_without_a_panic() {
    use std::os::unix::ffi::OsStrExt;
    let home = Home::empty();
    let mut command = home.command(&[]);
    command.arg(std::ffi::OsStr::from_bytes(b"\xff\xfe"));
    assert_eq!(Run::of(command.output().expect("aifx starts")).status, 2);
}

#[test]
fn a_full_disk_on_stdout_is_exit_9_and_a_closed_pipe_is_quiet() {
    let home = Home::empty();
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").expect("/dev/full");
    let mut command = home.command(&["exit-codes"]);
    let run = Run::of(command.stdout(full).output().expect("aifx starts"));
    run.refuses(9, &["cannot write the result to stdout"]);

    let (reader, writer) = std::io::pipe().expect("a pipe");
    drop(reader);
    let mut command = home.command(&["exit-codes"]);
    let run = Run::of(command.stdout(writer).output().expect("aifx starts"));
    assert_eq!((run.status, run.stderr.as_str()), (0, ""));
}
