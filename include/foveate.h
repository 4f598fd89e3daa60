/* The C library of foveate, which shows where a large vision-language model looks when it answers.
 *
 * Handles are numbers. A handle of what is freed, or of nothing, is FOVEATE_STATUS_HANDLE, from any
 * function. An object is freed once, by the function of its kind.
 *
 * Strings end with NUL. Paths are in the system's encoding, all other strings in UTF-8.
 *
 * Results are copied into memory of the caller's. Where a function has a buffer and a `capacity`,
 * a buffer of NULL and a capacity of 0 ask for the size alone; a buffer that is too small is
 * FOVEATE_STATUS_BUFFER, with the size written. The `length` of a string is without the NUL behind
 * it, so the buffer takes one byte more. A size that is not wanted may be NULL.
 *
 * All functions may be called from all threads at the same time.
 *
 * Made by `cargo run -p foveate-header` from the files of c/src. */


#ifndef FOVEATE_H
#define FOVEATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// Says whether a call succeeded, or why not. foveate_last_error() has the message.
enum foveate_status
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : int32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
    // The call succeeded.
    FOVEATE_STATUS_OK = 0,
    // An argument is NULL, misaligned, not UTF-8, or of the wrong size.
    FOVEATE_STATUS_ARGUMENT = 1,
    // A handle is of no object: it was freed, or it is not of this library.
    FOVEATE_STATUS_HANDLE = 2,
    // A buffer is too small; the call has written what size it needs.
    FOVEATE_STATUS_BUFFER = 3,
    // The explanation does not have it: without a key token there is no mask, and there are no
    // curves where the settings leave them out.
    FOVEATE_STATUS_ABSENT = 4,
    // A setting does not exist, is out of range, or does not go with others.
    FOVEATE_STATUS_SETTING = 5,
    // A checkpoint is missing, incomplete or not supported.
    FOVEATE_STATUS_CHECKPOINT = 6,
    // A device is not available, or failed.
    FOVEATE_STATUS_DEVICE = 7,
    // A picture is missing, does not decode, or cannot be processed.
    FOVEATE_STATUS_PICTURE = 8,
    // The question is empty, or longer than the model's context.
    FOVEATE_STATUS_QUESTION = 9,
    // The model has no answer, or the given answer or keys do not fit.
    FOVEATE_STATUS_ANSWER = 10,
    // One evaluation does not fit the memory budget, or the device's memory.
    FOVEATE_STATUS_MEMORY = 11,
    // The model's output has infinities or NaN.
    FOVEATE_STATUS_NOT_FINITE = 12,
    // A folder or file cannot be written.
    FOVEATE_STATUS_OUTPUT = 13,
    // The progress function stopped the work.
    FOVEATE_STATUS_CANCELLED = 14,
    // Any other error.
    FOVEATE_STATUS_OTHER = 15,
    // The library failed in a way that is a defect of its own.
    FOVEATE_STATUS_INTERNAL = 16,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum foveate_status foveate_status;
#else
typedef int32_t foveate_status;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

// An option of `foveate explain` by its name, such as {"mask_size", "16"}: the same names, values,
// defaults and checks. An option that may be given several times is one setting per value.
typedef struct foveate_setting {
    // The name without dashes in front, with underscores or dashes inside.
    const char *name;
    // The value as on the command line; NULL for an option that takes none, such as "no_curves".
    const char *value;
} foveate_setting;

// The handle of a model. One whose id is 0 is of none.
typedef struct foveate_model {
    uint64_t id;
} foveate_model;

// Called before and while an explanation is made, on the thread that asked for it: `stage` is
// "prepare", "answer", "select", "optimise", "curves", "faithfulness" or "each", `done` of `total`
// evaluations or tokens are done, and a `total` of 0 is unknown. Returning false ends the work. It
// may call every function of this library; neither exceptions nor longjmp may leave it.
typedef bool (*foveate_progress)(void *data, const char *stage, size_t done, size_t total);

// A question about a picture. What is 0 or NULL is left out; the picture, as a file or as pixels,
// and the question are needed.
typedef struct foveate_request {
    // The picture's file (PNG, JPEG, WebP, GIF, BMP, TIFF, PNM).
    const char *image;
    // Or its pixels: red, green and blue, a byte each, row by row from the top.
    const uint8_t *pixels;
    // The number of bytes at `pixels`: 3 x width x height.
    size_t pixel_bytes;
    uint32_t width;
    uint32_t height;
    // The question, UTF-8.
    const char *question;
    // Explain this answer, UTF-8, tokenised exactly as given, instead of the model's own.
    const char *answer;
    // Explain these tokens of the answer, counted from 0, instead of the selected ones.
    const size_t *keys;
    size_t key_count;
    // Options of `foveate explain` about the explanation.
    const struct foveate_setting *settings;
    size_t setting_count;
    foveate_progress progress;
    // Handed to `progress`.
    void *data;
} foveate_request;

// The handle of an explanation. One whose id is 0 is of none.
typedef struct foveate_explanation {
    uint64_t id;
} foveate_explanation;

// One token of an answer.
typedef struct foveate_token {
    // log p given the picture.
    double logp_image;
    // log p given the baseline.
    double logp_baseline;
    // The difference, in nats: the evidence that the picture adds for the token.
    double llr;
    // Its id in the vocabulary.
    uint32_t id;
    // Whether it is a key token: one that depends on the picture.
    bool key;
} foveate_token;

// The scores of a mask.
typedef struct foveate_scores {
    // Area under the normalised deletion curve; lower is better. NaN if undefined.
    double deletion;
    // Area under the normalised insertion curve; higher is better. NaN if undefined.
    double insertion;
} foveate_scores;

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

// Returns the library's version, such as "0.1.0".
const char *foveate_version(void);

// Returns the message of this thread's last call that failed, or the empty string. It is valid
// until the next call of this thread that fails, and until the thread ends.
const char *foveate_last_error(void);

// Opens a model: a checkpoint's folder, the name of a repository in Hugging Face's cache, or NULL
// for the built-in demo model, which knows drawn shapes only.
//
// `settings` are options of `foveate explain` about the model and the machine, such as "device",
// "dtype" and "threads". On failure `*model` is the handle of none.
foveate_status foveate_load(const char *path,
                            const struct foveate_setting *settings,
                            size_t setting_count,
                            struct foveate_model *model);

// Copies a description of a model as JSON: "name", "family", "device", "dtype", "threads" (0 on a
// GPU), and "no_gpu", the reason why "device" "auto" chose no GPU, or null.
foveate_status foveate_model_json(struct foveate_model model,
                                  char *buffer,
                                  size_t capacity,
                                  size_t *length);

// Frees a model. Explanations that it made stay; calls that still use it end as if it were there.
// The handle of none is ignored.
foveate_status foveate_model_free(struct foveate_model model);

// Answers a question about a picture, or takes the answer that the request gives, and explains it.
//
// A model may be used by several threads at once. On failure `*explanation` is the handle of none.
foveate_status foveate_explain(struct foveate_model model,
                               const struct foveate_request *request,
                               struct foveate_explanation *explanation);

// Copies the answer, UTF-8.
foveate_status foveate_explanation_answer(struct foveate_explanation explanation,
                                          char *buffer,
                                          size_t capacity,
                                          size_t *length);

// Copies the whole record as JSON, UTF-8: what `foveate explain` writes as explanation.json,
// without its list of files.
foveate_status foveate_explanation_json(struct foveate_explanation explanation,
                                        char *buffer,
                                        size_t capacity,
                                        size_t *length);

// Writes the number of tokens of the answer.
foveate_status foveate_explanation_token_count(struct foveate_explanation explanation,
                                               size_t *count);

// Writes the numbers of one token of the answer, counted from 0.
foveate_status foveate_explanation_token(struct foveate_explanation explanation,
                                         size_t index,
                                         struct foveate_token *token);

// Copies the text of one token of the answer, UTF-8. The texts of all tokens make up the answer.
foveate_status foveate_explanation_token_text(struct foveate_explanation explanation,
                                              size_t index,
                                              char *buffer,
                                              size_t capacity,
                                              size_t *length);

// Copies the mask, `size x size` values in 0..1 row by row, in the plane of the picture: 1 keeps
// it, 0 replaces it by the baseline. `capacity` is in values.
foveate_status foveate_explanation_mask(struct foveate_explanation explanation,
                                        float *values,
                                        size_t capacity,
                                        size_t *size);

// Copies 1 - mask at the picture's pixels, `width x height` values row by row: high where the
// answer needs the picture. `capacity` is in values.
foveate_status foveate_explanation_saliency(struct foveate_explanation explanation,
                                            float *values,
                                            size_t capacity,
                                            uint32_t *width,
                                            uint32_t *height);

// Copies the picture under its map, as overlay.png shows it, which may be larger than the picture:
// `width x height` pixels of red, green and blue, a byte each, row by row. `capacity` is in bytes.
foveate_status foveate_explanation_overlay(struct foveate_explanation explanation,
                                           uint8_t *pixels,
                                           size_t capacity,
                                           uint32_t *width,
                                           uint32_t *height);

// Copies the deletion and insertion curves: at each point the share of the cells that is replaced,
// and the mean probability of the key tokens with those cells removed from the picture, and with
// only those revealed. `capacity` is in values, of each buffer; `count` is the number of points.
foveate_status foveate_explanation_curves(struct foveate_explanation explanation,
                                          double *fraction,
                                          double *deletion,
                                          double *insertion,
                                          size_t capacity,
                                          size_t *count);

// Writes the scores of the mask.
foveate_status foveate_explanation_scores(struct foveate_explanation explanation,
                                          struct foveate_scores *scores);

// Writes the files that `foveate explain --out` writes, whole or not at all. The folder is created
// if it does not exist.
foveate_status foveate_explanation_save(struct foveate_explanation explanation, const char *folder);

// Frees an explanation. The handle of none is ignored.
foveate_status foveate_explanation_free(struct foveate_explanation explanation);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* FOVEATE_H */
