//! Texts of crontabs: the block of a home, and taking it in and out. Bytes in, bytes out; no process is started.
//!
//! Invariant: what stands outside the home's own two marks is never changed, not by a byte; installing a block in a
//! crontab without one and removing it again gives the crontab as it was.

use std::ops::Range;

/// When a job runs, in UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Schedule {
    /// Wherever the machine's clock stands: minute, hour.
    Often(&'static str, &'static str),
    /// Every day at this hour.
    Daily(u8),
    /// Every week on this day (0 is Sunday) at this hour.
    Weekly(u8, u8),
    /// Every month on this day at this hour.
    Monthly(u8, u8),
}

/// What the hours of a crontab mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Clock {
    /// UTC.
    Utc,
    /// Some other zone, whose offset may change with the season: every hour the wrapper looks at UTC.
    Local,
}

impl Schedule {
    /// The five fields of crontab and the arguments of the wrapper that go with them. Never both a day of the month and
    /// a day of the week: cron takes either for enough.
    fn entry(self, clock: Clock) -> (String, String) {
        let hourly = "0 * * * *".to_owned();
        match (self, clock) {
            (Schedule::Often(minute, hour), _) => (format!("{minute} {hour} * * *"), String::new()),
            (Schedule::Daily(hour), Clock::Utc) => (format!("0 {hour} * * *"), String::new()),
            (Schedule::Weekly(day, hour), Clock::Utc) => {
                (format!("0 {hour} * * {day}"), String::new())
            }
            (Schedule::Monthly(day, hour), Clock::Utc) => {
                (format!("0 {hour} {day} * *"), String::new())
            }
            (Schedule::Daily(hour), Clock::Local) => (hourly, format!(" --utc-hour {hour:02}")),
            (Schedule::Weekly(day, hour), Clock::Local) => {
                (hourly, format!(" --utc-weekday {day} --utc-hour {hour:02}"))
            }
            (Schedule::Monthly(day, hour), Clock::Local) => {
                (hourly, format!(" --utc-day {day:02} --utc-hour {hour:02}"))
            }
        }
    }
}

/// One line of crontab: runs `wrapper` with `arguments` by `schedule`.
pub fn entry(schedule: Schedule, clock: Clock, wrapper: &str, arguments: &[&str]) -> String {
    let (fields, guard) = schedule.entry(clock);
    let arguments: String = arguments.iter().map(|word| format!(" {}", quoted(word))).collect();
    let command = format!("{}{guard}{arguments}", quoted(wrapper));
    // cron ends the command at the first bare percent sign.
    format!("{fields} {}", command.replace('%', "\\%"))
}

/// A word for a shell, quoted where it has to be.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_@%:,./+=-".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', "'\\''"))
    }
}

/// Why a path cannot stand in a crontab, if it cannot: cron cuts lines, and takes backslashes away.
pub fn objection(path: &str) -> Option<&'static str> {
    if path.chars().any(char::is_control) {
        Some("it holds a control character")
    } else if path.contains('\\') {
        Some("it holds a backslash")
    } else {
        None
    }
}

/// A crontab that cannot be read as text with whole blocks.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Damaged {
    /// A mark without its partner.
    #[error("line {0} is one of aifx's marks without its partner")]
    Alone(usize),
    /// A second block of the same home.
    #[error("line {0} opens a second block of the same home")]
    Twice(usize),
}

/// Follows the opening mark where the crontab did not end with a newline and was given one.
const NEWLINE_ADDED: &str = " (newline added above)";

/// The block of a home in crontabs.
#[derive(Debug, Clone)]
pub struct Block {
    begin: String,
    end: String,
    body: String,
}

/// Where a block stands.
struct Found {
    /// From the opening mark to the end of the closing one's line.
    whole: Range<usize>,
    newline_added: bool,
}

impl Block {
    /// The block of `home` with these lines.
    pub fn new(home: &str, lines: &[String]) -> Self {
        Block {
            begin: format!("# >>> aifx {home} >>>"),
            end: format!("# <<< aifx {home} <<<"),
            body: lines.iter().map(|line| format!("{line}\n")).collect(),
        }
    }

    /// The whole block as it stands in a crontab.
    pub fn text(&self) -> String {
        self.written(false)
    }

    fn written(&self, newline_added: bool) -> String {
        let note = if newline_added { NEWLINE_ADDED } else { "" };
        format!("{}{note}\n{}{}\n", self.begin, self.body, self.end)
    }

    fn find(&self, crontab: &[u8]) -> Result<Option<Found>, Damaged> {
        let mut open: Option<(usize, usize, bool)> = None;
        let mut found = None;
        let mut start = 0;
        for (index, line) in crontab.split_inclusive(|byte| *byte == b'\n').enumerate() {
            let number = index + 1;
            let text = line.strip_suffix(b"\n").unwrap_or(line);
            let after_begin = text.strip_prefix(self.begin.as_bytes());
            if let Some(note @ (b"" | [b' ', ..])) = after_begin
                && (note.is_empty() || note == NEWLINE_ADDED.as_bytes())
            {
                match (open, &found) {
                    (Some((_, first, _)), _) => return Err(Damaged::Alone(first)),
                    (None, Some(_)) => return Err(Damaged::Twice(number)),
                    (None, None) => open = Some((start, number, !note.is_empty())),
                }
            } else if text == self.end.as_bytes() {
                let (begin, _, newline_added) = open.take().ok_or(Damaged::Alone(number))?;
                found = Some(Found { whole: begin..start + line.len(), newline_added });
            }
            start += line.len();
        }
        match open {
            Some((_, number, _)) => Err(Damaged::Alone(number)),
            None => Ok(found),
        }
    }

    /// The home's block as the crontab has it; `None` where it has none.
    ///
    /// # Errors
    /// When its marks are not a pair.
    pub fn installed<'a>(&self, crontab: &'a [u8]) -> Result<Option<&'a [u8]>, Damaged> {
        Ok(self.find(crontab)?.map(|found| &crontab[found.whole]))
    }

    /// Whether `installed` is this block.
    pub fn is_written_as(&self, installed: &[u8]) -> bool {
        [false, true].iter().any(|added| self.written(*added).as_bytes() == installed)
    }

    /// The crontab with this block: in the place of the one that was there, else at the end.
    ///
    /// # Errors
    /// When its marks are not a pair.
    pub fn install(&self, crontab: &[u8]) -> Result<Vec<u8>, Damaged> {
        let mut text = crontab.to_vec();
        match self.find(crontab)? {
            Some(Found { whole, newline_added }) => {
                text.splice(whole, self.written(newline_added).into_bytes());
            }
            None => {
                let newline_added = crontab.last().is_some_and(|byte| *byte != b'\n');
                if newline_added {
                    text.push(b'\n');
                }
                text.extend(self.written(newline_added).into_bytes());
            }
        }
        Ok(text)
    }

    /// The crontab without this block.
    ///
    /// # Errors
    /// When its marks are not a pair.
    pub fn remove(&self, crontab: &[u8]) -> Result<Vec<u8>, Damaged> {
        let mut text = crontab.to_vec();
        if let Some(Found { whole, newline_added }) = self.find(crontab)? {
            let last = whole.end == crontab.len();
            text.drain(whole);
            if newline_added && last {
                text.pop();
            }
        }
        Ok(text)
    }
}

/// Whether a zone file (TZif, RFC 9636) says UTC for now and all times to come: its last line is a POSIX `TZ` without an
/// offset and without daylight saving time.
pub fn is_utc(zone: &[u8]) -> bool {
    let Some(rest) = zone.strip_suffix(b"\n") else { return false };
    let footer = rest.rsplit(|byte| *byte == b'\n').next().unwrap_or_default();
    let Ok(footer) = std::str::from_utf8(footer) else { return false };
    let offset = match footer.strip_prefix('<') {
        Some(named) => named.split_once('>').map_or("", |(_, offset)| offset),
        None => footer.trim_start_matches(|c: char| c.is_ascii_alphabetic()),
    };
    offset == "0"
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn block(home: &str) -> Block {
        let wrapper = format!("{home}/cron/train-daily.sh");
        Block::new(home, &[entry(Schedule::Daily(1), Clock::Utc, &wrapper, &["--aifx", "/a/aifx"])])
    }

    #[test]
    fn hours_are_utc_and_days_are_never_given_twice() {
        let line =
            |schedule, clock| entry(schedule, clock, "/h/cron/x.sh", &["--", "--wait", "60"]);
        let cases = [
            (Schedule::Often("*/15", "*"), Clock::Utc, "*/15 * * * * /h/cron/x.sh"),
            (Schedule::Often("*/15", "*"), Clock::Local, "*/15 * * * * /h/cron/x.sh"),
            (Schedule::Daily(1), Clock::Utc, "0 1 * * * /h/cron/x.sh"),
            (Schedule::Weekly(0, 1), Clock::Utc, "0 1 * * 0 /h/cron/x.sh"),
            (Schedule::Monthly(1, 0), Clock::Utc, "0 0 1 * * /h/cron/x.sh"),
            (Schedule::Daily(1), Clock::Local, "0 * * * * /h/cron/x.sh --utc-hour 01"),
            (
                Schedule::Weekly(0, 1),
                Clock::Local,
                "0 * * * * /h/cron/x.sh --utc-weekday 0 --utc-hour 01",
            ),
            (
                Schedule::Monthly(1, 0),
                Clock::Local,
                "0 * * * * /h/cron/x.sh --utc-day 01 --utc-hour 00",
            ),
        ];
        for (schedule, clock, start) in cases {
            assert_eq!(line(schedule, clock), format!("{start} -- --wait 60"));
        }
    }

    #[test]
    fn paths_survive_cron_and_shell() {
        let line = |path| entry(Schedule::Daily(1), Clock::Utc, path, &[]);
        assert_eq!(line("/srv/f x/y.sh"), "0 1 * * * '/srv/f x/y.sh'");
        assert_eq!(line("/srv/50%/y.sh"), "0 1 * * * /srv/50\\%/y.sh");
        assert_eq!(line("/srv/it's 5%"), "0 1 * * * '/srv/it'\\''s 5\\%'");
        assert_eq!(line("/srv/$(x);`y`"), "0 1 * * * '/srv/$(x);`y`'");
        assert!(objection("/srv/fx").is_none());
        assert!(objection("/srv/f\nx").is_some() && objection("/srv/f\\x").is_some());
    }

    #[test]
    fn each_home_has_its_own_block() {
        let (one, two) = (block("/srv/fx"), block("/srv/fx2"));
        let before = b"MAILTO=me\n5 4 * * * backup\n";
        let with_one = one.install(before).expect("whole");
        let with_both = two.install(&with_one).expect("whole");
        assert_eq!(two.remove(&with_both).expect("whole"), with_one);
        assert_eq!(one.remove(&with_both).expect("whole"), two.install(before).expect("whole"));
        assert!(one.is_written_as(one.installed(&with_both).expect("whole").expect("there")));
        assert!(block("/srv").installed(&with_both).expect("whole").is_none());
    }

    #[test]
    fn a_block_is_renewed_in_its_place() {
        let old = Block::new("/h", &["old".to_owned()]);
        let mut crontab = old.install(b"first").expect("whole");
        crontab.extend(b"last\n");
        let new = Block::new("/h", &["new".to_owned()]);
        let text = String::from_utf8(new.install(&crontab).expect("whole")).expect("text");
        assert_eq!(
            text,
            "first\n# >>> aifx /h >>> (newline added above)\nnew\n# <<< aifx /h <<<\nlast\n"
        );
        // The newline stays: something follows it now.
        assert_eq!(new.remove(text.as_bytes()).expect("whole"), b"first\nlast\n");
    }

    #[test]
    fn damaged_marks_are_refused_with_their_line() {
        let block = block("/h");
        let (begin, end) = ("# >>> aifx /h >>>\n", "# <<< aifx /h <<<\n");
        let cases = [
            (format!("a\n{begin}b\n"), Damaged::Alone(2)),
            (format!("a\nb\n{end}"), Damaged::Alone(3)),
            (format!("{begin}{begin}{end}"), Damaged::Alone(1)),
            (format!("{begin}{end}{begin}{end}"), Damaged::Twice(3)),
        ];
        for (crontab, why) in cases {
            assert_eq!(block.install(crontab.as_bytes()), Err(why.clone()), "{crontab}");
            assert_eq!(block.remove(crontab.as_bytes()), Err(why), "{crontab}");
        }
    }

    #[test]
    fn a_zone_is_utc_only_without_offset_and_season() {
        for (footer, utc) in [
            ("UTC0", true),
            ("GMT0", true),
            ("<+00>0", true),
            ("GMT0BST,M3.5.0/1,M10.5.0", false),
            ("<+00>0<+02>-2,M3.5.0/1,M10.5.0/3", false),
            ("CET-1CEST,M3.5.0,M10.5.0/3", false),
            ("<+0545>-5:45", false),
            ("EST5", false),
            ("", false),
        ] {
            assert_eq!(is_utc(format!("TZif2\0\0\n{footer}\n").as_bytes()), utc, "{footer}");
        }
        assert!(!is_utc(b"TZif1") && !is_utc(b""));
    }

    /// Lines that a crontab may hold, some of them nearly marks.
    fn crontab() -> impl Strategy<Value = Vec<u8>> {
        let line = prop_oneof![
            proptest::collection::vec(any::<u8>(), 0..12),
            Just(b"\n".to_vec()),
            Just(b"0 1 * * * x\n".to_vec()),
            Just(block("/other").text().into_bytes()),
            Just(b"# >>> aifx /h >>> (newline added)\n".to_vec()),
            Just(b" # <<< aifx /h <<<\n".to_vec()),
        ];
        proptest::collection::vec(line, 0..8).prop_map(|lines| lines.concat())
    }

    proptest! {
        #[test]
        fn install_then_remove_gives_every_byte_back(crontab in crontab()) {
            let block = block("/h");
            // Chance may write a mark; such a crontab has a block already.
            prop_assume!(matches!(block.installed(&crontab), Ok(None)));
            let with = block.install(&crontab).expect("no marks");
            prop_assert!(with.ends_with(b"\n"));
            prop_assert_eq!(block.remove(&with).expect("whole"), crontab);
        }

        #[test]
        fn installing_twice_is_installing_once(crontab in crontab(), after in crontab()) {
            let block = block("/h");
            prop_assume!(matches!(block.installed(&crontab), Ok(None)));
            let mut once = Block::new("/h", &["# older".to_owned()]).install(&crontab).expect("no marks");
            once.extend(after);
            prop_assume!(block.installed(&once).is_ok());
            let once = block.install(&once).expect("whole");
            prop_assert_eq!(block.install(&once).expect("whole"), once);
        }
    }
}
