//! The text that stands for a picture in a prompt.

/// The text that takes the place of the image token that a template writes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PictureText {
    /// With an image token for each group of rows; the image token alone if `None`.
    pub(super) text: Option<String>,
    /// Image tokens in the text.
    pub(super) marks: usize,
    /// Rows that each image token stands for.
    pub(super) rows_per_mark: usize,
}

impl PictureText {
    /// Creates the text of a picture whose rows follow each other: the image token, once per row.
    pub fn rows(rows: usize) -> PictureText {
        PictureText {
            text: None,
            marks: 1,
            rows_per_mark: rows,
        }
    }

    /// Creates a text in which `image_token` stands `marks` times, each time for `rows_per_mark`
    /// rows.
    pub fn around(text: String, image_token: &str, rows_per_mark: usize) -> PictureText {
        PictureText {
            marks: text.matches(image_token).count(),
            text: Some(text),
            rows_per_mark,
        }
    }

    /// Compares the rows that the pictures of a prompt stand for with the runs of image tokens in
    /// its ids. Returns the expected and the found number of rows of the first that differs, `None`
    /// if there is none. The rows of one picture may end where those of the next begin.
    pub fn differ(pictures: &[PictureText], ids: &[u32], image: u32) -> Option<(usize, usize)> {
        let mut runs = ids
            .chunk_by(|a, b| (*a == image) == (*b == image))
            .filter(|run| run[0] == image)
            .map(<[u32]>::len);
        // What a run has beyond the rows of a picture that ends in it.
        let mut left = None;
        for picture in pictures {
            for mark in 1..=picture.marks {
                let expected = picture.rows_per_mark;
                let found = left.take().or_else(|| runs.next()).unwrap_or(0);
                let ends = mark == picture.marks;
                if found < expected || (found > expected && !ends) {
                    return Some((expected, found));
                }
                left = (found > expected).then_some(found - expected);
            }
        }
        left.or_else(|| runs.next()).map(|found| (0, found))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_of_image_tokens_are_compared() {
        let differ = |pictures: &[PictureText], ids: &[u32]| PictureText::differ(pictures, ids, 7);
        let one = [PictureText::rows(3)];
        assert_eq!(differ(&one, &[7, 7, 7, 1, 2]), None);
        assert_eq!(differ(&one, &[7, 7, 1]), Some((3, 2)));
        assert_eq!(differ(&one, &[]), Some((3, 0)));
        assert_eq!(differ(&one, &[7, 7, 7, 1, 7]), Some((0, 1)));
        assert_eq!(differ(&one, &[7, 7, 7, 7, 1]), Some((0, 1)));
        let marks = PictureText::around("<a><i>\n<b><i>".to_string(), "<i>", 2);
        let two = [marks.clone()];
        assert_eq!(differ(&two, &[7, 7, 1, 2, 7, 7, 3]), None);
        assert_eq!(differ(&two, &[7, 7, 7, 7, 3]), Some((2, 4)));
        assert_eq!(differ(&two, &[7, 7, 1]), Some((2, 0)));
        let three = [PictureText::rows(3), marks, PictureText::rows(1)];
        assert_eq!(differ(&three, &[7, 7, 7, 1, 7, 7, 2, 7, 7, 3, 7]), None);
        assert_eq!(differ(&three, &[7, 7, 7, 7, 7, 2, 7, 7, 7]), None);
        assert_eq!(differ(&three, &[7, 7, 7, 7, 2, 7, 7, 7]), Some((2, 1)));
        assert_eq!(differ(&three, &[7, 7, 7, 1, 7, 7, 2, 7, 7]), Some((1, 0)));
    }
}
