//! `run` and `create`: a wish becomes a container, and its id is told.

use crate::place::{enter, place, print};
use crate::progress::Progress;
use crate::run_arguments::RunArguments;
use engine::{Error, Kind, Result};
use std::io::Write;
use std::path::{Path, PathBuf};
use sys::called;

/// Make a container without starting it
#[derive(Debug, clap::Args)]
#[command(
    disable_help_flag = true,
    after_help = "Examples:\n  devoxx-container create --name web -p 8080:80 nginx\n  devoxx-container create -it --name shell debian:12 bash"
)]
pub struct Create {
    #[command(flatten)]
    run: RunArguments,
}

/// `run`.
pub fn run(arguments: &RunArguments) -> Result<i32> {
    let wish = arguments.wish()?;
    engine::protect()?;
    let place = enter(wish.joined(), |_| wish.has_neighbours())?;
    let progress = Progress::new(arguments.quiet);
    let hear = |event| progress.hear(event);
    let host = place.host(&hear);
    let keys = detach_keys(arguments.detach_keys.as_deref())?;
    let file = arguments.cidfile.as_deref().map(IdFile::make).transpose()?;
    let trace = engine::explain(arguments.explain, arguments.trace.as_deref())?;
    let told = |id: &str| file.as_ref().map_or(Ok(()), |file| file.write(id));
    if arguments.detach {
        let id = engine::run_detached(&host, &wish, &told, &trace)?;
        print(&id)?;
        return Ok(0);
    }
    engine::run(&host, &wish, arguments.attach(wish.interactive, keys), &told, &trace)
}

/// `create`.
pub fn create(arguments: &Create) -> Result<i32> {
    let wish = arguments.run.wish()?;
    let place = place()?;
    let progress = Progress::new(arguments.run.quiet);
    let hear = |event| progress.hear(event);
    let host = place.host(&hear);
    let file = arguments.run.cidfile.as_deref().map(IdFile::make).transpose()?;
    let record = engine::create(&host, &wish)?;
    if let Some(file) = file {
        file.write(&record.id)?;
    }
    print(&record.id)?;
    Ok(0)
}

/// The file of `--cidfile`: made before the container is, and gone again when that does not come to be.
pub struct IdFile {
    path: PathBuf,
    file: std::fs::File,
    written: std::cell::Cell<bool>,
}

impl IdFile {
    /// Makes it.
    pub fn make(path: &Path) -> Result<Self> {
        let file = std::fs::File::create_new(path)
            .map_err(|error| Error::new(Kind::Failed, format!("--cidfile {}: {error}", path.display())))?;
        Ok(Self { path: path.to_owned(), file, written: std::cell::Cell::new(false) })
    }

    /// Writes the id into it.
    pub fn write(&self, id: &str) -> Result<()> {
        self.written.set(true);
        (&self.file).write_all(id.as_bytes()).map_err(called(|| format!("write({:?})", self.path)))?;
        Ok(())
    }
}

impl Drop for IdFile {
    fn drop(&mut self) {
        if !self.written.get() {
            // Nobody reads what names no container.
            let _gone = std::fs::remove_file(&self.path);
        }
    }
}

/// `--detach-keys`: letters, and `ctrl-` with a letter or one of `@[\\]^_`, parted by commas.
pub fn detach_keys(text: Option<&str>) -> Result<Vec<u8>> {
    let Some(text) = text else { return Ok(vec![16, 17]) };
    let wrong = || {
        Error::new(
            Kind::Usage,
            format!("invalid value {text:?} for --detach-keys: write a key or ctrl-KEY, parted by commas"),
        )
    };
    let key = |word: &str| -> Option<u8> {
        match (word.strip_prefix("ctrl-").map(str::as_bytes), word.as_bytes()) {
            (Some([letter @ b'a'..=b'z']), _) => Some(letter - b'a' + 1),
            (Some(b"@"), _) => Some(0),
            (Some([letter @ b'['..=b'_']), _) => Some(letter - b'[' + 27),
            (None, [key @ 0..=127]) => Some(*key),
            _ => None,
        }
    };
    if text.is_empty() {
        return Ok(Vec::new());
    }
    text.split(',').map(|word| key(word).ok_or_else(wrong)).collect()
}
