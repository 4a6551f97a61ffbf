//! Opens a file, plain, gzipped or zipped (told by its first bytes), and hands over its text.

use std::{
    fs::File,
    io::{self, Cursor, Read},
    path::Path,
};

use crate::fault::Fault;

/// Longer lines are no candles: a binary file, or one without line ends.
pub(super) const MAX_LINE_BYTES: usize = 1 << 20;
/// More text than this is no file of candles (minutes of a hundred years are a tenth of it), or a bomb.
const MAX_TEXT_BYTES: u64 = 2 << 30;

/// The text of a file, and which member of an archive it was.
pub(super) struct Text {
    pub(super) text: String,
    pub(super) member: Option<String>,
}

pub(super) fn open(path: &Path) -> anyhow::Result<Text> {
    let unreadable = |error: io::Error| match error.kind() {
        io::ErrorKind::NotFound => Fault::input("there is no such file"),
        _ => Fault::resource(format!("the file cannot be read: {error}")),
    };
    let mut file = File::open(path).map_err(unreadable)?;
    if file.metadata().map_err(unreadable)?.is_dir() {
        return Err(Fault::input("this is a folder")
            .hint(format!("name the files in it: {}/*.csv", path.display()))
            .into());
    }
    let mut head = Vec::new();
    file.by_ref().take(MAX_LINE_BYTES as u64).read_to_end(&mut head).map_err(unreadable)?;
    if head.starts_with(&[0x1f, 0x8b]) {
        let gz = flate2::read::MultiGzDecoder::new(Cursor::new(head).chain(file));
        return Ok(Text { text: unpacked(gz)?, member: None });
    }
    if head.starts_with(b"PK\x03\x04") {
        let mut archive = head;
        file.read_to_end(&mut archive).map_err(unreadable)?;
        return from_zip(archive);
    }
    if head.starts_with(b"PK\x05\x06") {
        return Err(Fault::input("the zip archive is empty").into());
    }
    let rest = file.take(MAX_TEXT_BYTES);
    let text = to_text(Cursor::new(head).chain(rest)).map_err(|error| match error {
        NoText::Io(error) => unreadable(error),
        NoText::Refused(fault) => fault,
    })?;
    Ok(Text { text, member: None })
}

pub(super) fn long_line(line: u64) -> Fault {
    Fault::input(format!("line {line} is longer than 1 MiB: this is no text file of candles"))
}

fn from_zip(archive: Vec<u8>) -> anyhow::Result<Text> {
    let broken = |error: zip::result::ZipError| {
        Fault::input(format!("the zip archive is damaged: {error}")).hint("fetch it again")
    };
    let mut archive = zip::ZipArchive::new(Cursor::new(archive)).map_err(broken)?;
    // macOS packs a shadow of every file beside it.
    let names: Vec<String> = archive
        .file_names()
        .filter(|name| !name.starts_with("__MACOSX/"))
        .map(str::to_owned)
        .collect();
    let ending = |ending: &str| -> Vec<&String> {
        names.iter().filter(|name| name.to_ascii_lowercase().ends_with(ending)).collect()
    };
    let mut members = ending(".csv");
    if members.is_empty() {
        members = ending(".txt");
    }
    let [member] = members[..] else {
        return Err(Fault::input(format!(
            "the archive holds {} CSV files, and one is needed",
            members.len()
        ))
        .hint("unpack it and import its files")
        .into());
    };
    let text = unpacked(archive.by_name(member).map_err(broken)?)?;
    Ok(Text { text, member: Some(member.clone()) })
}

fn unpacked(packed: impl Read) -> anyhow::Result<String> {
    to_text(packed.take(MAX_TEXT_BYTES)).map_err(|error| match error {
        NoText::Io(error) => {
            Fault::input(format!("the archive is damaged: {error}")).hint("fetch it again").into()
        }
        NoText::Refused(fault) => fault.into(),
    })
}

enum NoText {
    Io(io::Error),
    Refused(Fault),
}

fn to_text(mut from: impl Read) -> Result<String, NoText> {
    let mut bytes = Vec::new();
    // The first line alone shows a file without line ends: gigabytes of it are not read.
    from.by_ref().take(MAX_LINE_BYTES as u64).read_to_end(&mut bytes).map_err(NoText::Io)?;
    if bytes.len() == MAX_LINE_BYTES && !bytes.contains(&b'\n') {
        return Err(NoText::Refused(long_line(1)));
    }
    from.read_to_end(&mut bytes).map_err(NoText::Io)?;
    if bytes.len() as u64 >= MAX_TEXT_BYTES {
        return Err(NoText::Refused(
            Fault::input("the file is larger than 2 GiB").hint("split it"),
        ));
    }
    if bytes.starts_with(&[0xff, 0xfe]) || bytes.starts_with(&[0xfe, 0xff]) {
        let fault = Fault::input("the file is in UTF-16").hint("save it as UTF-8");
        return Err(NoText::Refused(fault));
    }
    String::from_utf8(bytes).map_err(|error| {
        let good = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        let line = good.iter().filter(|&&byte| byte == b'\n').count() + 1;
        let column = good.iter().rev().take_while(|&&byte| byte != b'\n').count() + 1;
        let byte = error.as_bytes()[good.len()];
        NoText::Refused(
            Fault::input(format!("line {line}, byte {column}: 0x{byte:02x} is not UTF-8 text"))
                .hint("save the file as UTF-8"),
        )
    })
}
