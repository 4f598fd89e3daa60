//! Locating the pictures of a run's samples.

use std::path::Path;

use crate::cli::error::CliError;
use crate::picture::{Limits, Picture};
use crate::report::html::thumbnail;
use crate::run::{
    Cause, Data, DataOptions, ImageFolder, Picked, Record, RecordImage, Records, Run, Source,
};

/// The pictures of a run.
pub(super) struct Pictures {
    images: Option<ImageFolder>,
    data: Option<Data>,
    run: Run,
    limits: Limits,
}

/// The places of the pictures of a record.
pub(super) type Places = Vec<Source>;

/// A picture on the page, or the reason why there is none.
pub(super) type Small = Result<String, String>;

impl Pictures {
    /// Locates pictures below `images`, or in or beside the run's `data`, decoded within `limits`;
    /// `anywhere` as for [`ImageFolder::new`].
    ///
    /// # Errors
    /// Returns an error if the data cannot be read or are not those of the run.
    pub fn new(
        run: &Run,
        images: Option<&Path>,
        data: Option<&Path>,
        anywhere: bool,
        limits: Limits,
    ) -> Result<Pictures, CliError> {
        let recorded = &run.manifest().data;
        let open = |path: &Path| {
            let options = DataOptions {
                layout: Some(recorded.layout),
                ask: recorded.ask,
                columns: recorded.columns.clone(),
                config: recorded.split.as_ref().map(|split| split.config.clone()),
                split: recorded.split.as_ref().map(|split| split.split.clone()),
                images_anywhere: anywhere,
            };
            let data = Data::open(path, images, options)?;
            let found = data.identity().fingerprint;
            if found != recorded.fingerprint {
                return Err(CliError::Option {
                    option: "data",
                    expected: format!(
                        "the data of the run, {} (SHA-256 {}...)",
                        recorded.file, recorded.fingerprint
                    ),
                    found: format!("{} (SHA-256 {found}...)", path.display()),
                });
            }
            Ok(data)
        };
        Ok(Pictures {
            images: images.map(|path| ImageFolder::new(path, anywhere)),
            data: data.map(open).transpose()?,
            run: run.clone(),
            limits,
        })
    }

    /// Returns every record with the places of its pictures.
    ///
    /// # Errors
    /// Returns an error if the data cannot be read; the iterator returns errors of data and of
    /// records.
    pub fn with_records<'a>(
        &'a self,
        records: Records,
    ) -> Result<impl Iterator<Item = Result<(Record, Places), CliError>> + 'a, CliError> {
        let mut rows = match &self.data {
            Some(data) => Some(data.samples(self.run.manifest().shard, 0)?),
            None => None,
        };
        Ok(records.map(move |record| {
            let record = record?;
            let places = match &mut rows {
                // Records are in the order of the data.
                Some(rows) => match rows.next().transpose()? {
                    Some(Picked {
                        sample: Ok(sample), ..
                    }) => sample.pictures().cloned().collect(),
                    _ => Vec::new(),
                },
                None if record.image.path.is_empty() => Vec::new(),
                None => {
                    let file = |image: &RecordImage| Source::File(vec![image.path.clone()]);
                    record.images().map(file).collect()
                }
            };
            Ok((record, places))
        }))
    }

    /// Returns a record's pictures as shown on the page.
    pub fn small(&self, record: &Record, places: &Places) -> Vec<Small> {
        let small = |(at, image)| self.one(record, image, places.get(at));
        record.images().enumerate().map(small).collect()
    }

    /// Returns a picture as shown on the page. One whose size differs from the record's is rejected
    /// as another picture.
    fn one(&self, record: &Record, image: &RecordImage, place: Option<&Source>) -> Small {
        if let Some(failure) = record
            .error
            .as_ref()
            .filter(|e| matches!(e.cause, Cause::Data | Cause::Picture) && image.width.is_none())
        {
            return Err(failure.message.clone());
        }
        let folder = self
            .data
            .as_ref()
            .map(Data::images)
            .or(self.images.as_ref());
        let folder = folder.ok_or("foveate report was given neither --images nor --data")?;
        let place = place.ok_or("the data name none")?;
        let picture = place
            .picture(folder, &self.limits)
            .map_err(|e| e.to_string())?;
        let found = (picture.width(), picture.height());
        if let (Some(width), Some(height)) = (image.width, image.height)
            && (width, height) != found
        {
            let (name, (w, h)) = (place.name(folder), found);
            return Err(format!(
                "{name}: expected {width} x {height} pixels, as the run found it, found {w} x {h}"
            ));
        }
        small(&picture)
    }
}

fn small(picture: &Picture) -> Small {
    thumbnail(picture.rgb(), picture.width(), picture.height()).map_err(|e| e.to_string())
}
