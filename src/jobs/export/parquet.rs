//! [`ParquetSink`]: frames to one Parquet file, compressed and written by threads of their own while the next are made.
//!
//! Not here: what the columns are.

use std::{
    path::Path,
    sync::mpsc::{Receiver, SyncSender, sync_channel},
    thread::JoinHandle,
};

use anyhow::Context;
use polars::prelude::*;
use polars_io::parquet::write::{BatchedWriter, ParquetCompression, ParquetWriter};
use polars_parquet::write::{
    CompressedPage, CompressionOptions, Encoding, ParquetType, StatisticsOptions, Version,
    WriteOptions, ZstdLevel, array_to_columns, compress,
};
use rayon::prelude::*;

use super::file::HashedFile;
use crate::{fault::Fault, memory};

/// A Parquet file under way.
pub(super) struct ParquetSink {
    frames: SyncSender<DataFrame>,
    writer: JoinHandle<anyhow::Result<String>>,
}

impl ParquetSink {
    /// A new file with the columns of `like`.
    ///
    /// # Errors
    /// Exit 9 when the file cannot be made.
    pub(super) fn start(path: &Path, like: &DataFrame) -> anyhow::Result<ParquetSink> {
        let mut file = HashedFile::create(path)?;
        let schema = like.schema().clone();
        memory::keep_freed();
        // Reading and writing take turns at being the slower one; a few frames between them keep both at work.
        let (frames, next) = sync_channel(4);
        let writer = std::thread::spawn(move || {
            write_frames(&mut file, &schema, next).map_err(Fault::resource)?;
            file.finish()
        });
        Ok(ParquetSink { frames, writer })
    }

    /// Hands a frame to the writer as a row group; false where the writer has failed, which `finish` explains.
    pub(super) fn write(&mut self, frame: DataFrame) -> bool {
        self.frames.send(frame).is_ok()
    }

    /// The SHA-256 of the complete file.
    ///
    /// # Errors
    /// Exit 9 when the disk refused something.
    pub(super) fn finish(self) -> anyhow::Result<String> {
        drop(self.frames);
        let written = self.writer.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        written.context("cannot write Parquet")
    }
}

/// Features hardly compress: level 3 takes half as long again as level 1 for 4 % less. Smallest and largest values help
/// who reads a part of a file; a dataset is read whole, and they cost a tenth of the time.
fn options() -> WriteOptions {
    let level = ZstdLevel::try_new(1).expect("1 is a level");
    WriteOptions {
        statistics: StatisticsOptions { min_value: false, max_value: false, ..Default::default() },
        compression: CompressionOptions::Zstd(Some(level)),
        version: Version::V1,
        data_page_size: None,
    }
}

fn write_frames(
    file: &mut HashedFile,
    schema: &Schema,
    frames: Receiver<DataFrame>,
) -> PolarsResult<()> {
    let options = options();
    let mut writer: BatchedWriter<_> = ParquetWriter::new(file)
        .with_compression(ParquetCompression::Zstd(None))
        .with_statistics(options.statistics)
        .batched(schema)?;
    let types = writer.parquet_schema().fields().to_vec();
    for frame in frames {
        // The column is the unit of work: a frame has forty of them, and each is compressed by itself anyway.
        let columns: Vec<Vec<CompressedPage>> = frame
            .columns()
            .par_iter()
            .zip(types.par_iter())
            .map(|(column, r#type)| pages(column, r#type, options))
            .collect::<PolarsResult<_>>()?;
        writer.write_row_group(frame.height() as u64, &columns)?;
    }
    writer.finish().map(drop)
}

/// One column of a row group.
fn pages(
    column: &Column,
    r#type: &ParquetType,
    options: WriteOptions,
) -> PolarsResult<Vec<CompressedPage>> {
    // Texts repeat; numbers hardly do, and to find that out takes longer than to write them.
    let encoding =
        if column.dtype().is_string() { Encoding::RleDictionary } else { Encoding::Plain };
    let series = column.as_materialized_series().rechunk();
    let array = series.to_arrow(0, CompatLevel::newest());
    let mut list = Vec::new();
    for leaf in array_to_columns(array, r#type.clone(), options, &[encoding])? {
        for page in leaf {
            list.push(compress(page?, Vec::new(), options.compression)?);
        }
    }
    Ok(list)
}
