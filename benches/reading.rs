//! Images read per second: CIFAR-10 records, a folder of images, the generator; and the description and quality
//! check of stage 1.

use criterion::{BenchmarkId, Criterion, Throughput};
use mlestar_data::describe::describe;
use mlestar_data::quality::check;
use mlestar_data::readers::cifar::CifarKind;
use mlestar_data::synthetic::{SyntheticConfig, generate};
use mlestar_data::{DataConfig, SourceKind, load};
use std::hint::black_box;
use std::io;
use std::path::Path;

const RECORDS_PER_FILE: usize = 1000;
const PICTURES_PER_CLASS: usize = 100;

fn main() -> io::Result<()> {
    let mut criterion = mlestar_benches::criterion().configure_from_args();
    let folder = tempfile::tempdir()?;
    write_cifar(&folder.path().join("cifar"))?;
    write_bitmaps(&folder.path().join("bitmaps"))?;
    reading(&mut criterion, folder.path());
    looking(&mut criterion);
    criterion.final_summary();
    Ok(())
}

fn reading(criterion: &mut Criterion, folder: &Path) {
    let sources = [
        (
            "cifar10",
            SourceKind::Cifar10,
            folder.join("cifar"),
            6 * RECORDS_PER_FILE,
        ),
        (
            "folder of bitmaps",
            SourceKind::Folder,
            folder.join("bitmaps"),
            10 * PICTURES_PER_CLASS,
        ),
    ];
    let mut group = criterion.benchmark_group("reading");
    for (name, kind, path, n_pictures) in sources {
        let config = DataConfig::new(kind, path);
        group.throughput(Throughput::Elements(n_pictures as u64));
        #[allow(clippy::expect_used)] // A bench needs its data.
        group.bench_function(name, |bencher| {
            bencher.iter(|| black_box(load(&config, 1).expect("the folder was written above")));
        });
    }
    group.finish();
}

fn looking(criterion: &mut Criterion) {
    let config = SyntheticConfig::default();
    #[allow(clippy::expect_used)] // The defaults are in range.
    let splits = generate(&config, 1).expect("the default settings").splits;
    let n_pictures = splits.train.len() + splits.validation.len() + splits.test.len();
    let mut group = criterion.benchmark_group("looking");
    group.throughput(Throughput::Elements(n_pictures as u64));
    group.bench_function(BenchmarkId::new("generate", n_pictures), |bencher| {
        bencher.iter(|| black_box(generate(&config, 1)));
    });
    group.bench_function(BenchmarkId::new("check", n_pictures), |bencher| {
        bencher.iter(|| black_box(check(&splits)));
    });
    group.throughput(Throughput::Elements(splits.train.len() as u64));
    group.bench_function(
        BenchmarkId::new("describe", splits.train.len()),
        |bencher| {
            bencher.iter(|| black_box(describe(&splits.train)));
        },
    );
    group.finish();
}

/// A CIFAR-10 folder with `RECORDS_PER_FILE` records in each of its six files.
fn write_cifar(folder: &Path) -> io::Result<()> {
    std::fs::create_dir_all(folder)?;
    let kind = CifarKind::Cifar10;
    for (file, name) in kind
        .train_names()
        .iter()
        .chain([&kind.test_name()])
        .enumerate()
    {
        let mut bytes = Vec::with_capacity(RECORDS_PER_FILE * kind.record_bytes());
        for record in 0..RECORDS_PER_FILE {
            bytes.push((record % kind.n_classes()) as u8);
            bytes.extend((0..3072).map(|i| (i * 31 + record * 7 + file) as u8));
        }
        std::fs::write(folder.join(name), bytes)?;
    }
    let names: Vec<String> = (0..kind.n_classes())
        .map(|class| format!("class {class}"))
        .collect();
    std::fs::write(folder.join(kind.class_names_name()), names.join("\n"))
}

/// Ten class folders of 32x32 bitmaps with 24 bits per pixel.
fn write_bitmaps(folder: &Path) -> io::Result<()> {
    const PIXEL_BYTES: u32 = 3 * 32 * 32;
    const HEADER_BYTES: u32 = 54;
    let mut header = b"BM".to_vec();
    for field in [HEADER_BYTES + PIXEL_BYTES, 0, HEADER_BYTES, 40, 32, 32] {
        header.extend(field.to_le_bytes());
    }
    // One plane, 24 bits per pixel, no compression, default sizes and palette.
    header.extend([1, 0, 24, 0]);
    header.extend([0; 24]);
    for class in 0..10 {
        let class_folder = folder.join(format!("class {class}"));
        std::fs::create_dir_all(&class_folder)?;
        for number in 0..PICTURES_PER_CLASS {
            let pixels = (0..PIXEL_BYTES as usize).map(|i| (i * 31 + number * 7 + class) as u8);
            let bytes: Vec<u8> = header.iter().copied().chain(pixels).collect();
            std::fs::write(class_folder.join(format!("{number:03}.bmp")), bytes)?;
        }
    }
    Ok(())
}
