//! Writes an artifact, reads it back, and detects that it was altered.

use mlestar_artifact::{Artifact, ContentHash, read_artifact, write_artifact};
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
struct Counts {
    pictures: u64,
}

impl Artifact for Counts {
    const SCHEMA: &'static str = "example.counts";
    const VERSION: u32 = 1;
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("counts.json");
    let counts = Counts { pictures: 50_000 };
    write_artifact(&path, &counts)?;
    println!("{}", std::fs::read_to_string(&path)?);

    let recorded = ContentHash::of_file(&path)?;
    let text = std::fs::read_to_string(&path)?.replace("50000", "60000");
    std::fs::write(&path, text)?;
    println!("altered: {}", ContentHash::of_file(&path)? != recorded);
    println!("pictures: {}", read_artifact::<Counts>(&path)?.pictures);
    Ok(())
}
