/* Wrong calls, and calls at the edges: an error each, with a message that names what is wrong.
 *
 *     misuse IMAGE FOLDER
 *
 * FOLDER is written to. */
#include <foveate.h>

#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int failures = 0;
static pthread_mutex_t counting = PTHREAD_MUTEX_INITIALIZER;

static void count_failure(void) {
    pthread_mutex_lock(&counting);
    failures++;
    pthread_mutex_unlock(&counting);
}

static void check(bool holds, int line, const char *what) {
    if (!holds) {
        printf("line %d: %s (last error: %s)\n", line, what, foveate_last_error());
        count_failure();
    }
}

#define CHECK(condition) check(condition, __LINE__, #condition)

/* Checks a status, and that the message has a part. */
static void check_fails(foveate_status found, foveate_status expected, const char *part, int line) {
    if (found != expected || strstr(foveate_last_error(), part) == NULL) {
        printf("line %d: status %d and %s, expected %d and %s\n", line, (int)found,
               foveate_last_error(), (int)expected, part);
        count_failure();
    }
}

#define FAILS(call, expected, part) check_fails(call, FOVEATE_STATUS_##expected, part, __LINE__)
#define WORKS(call) CHECK((call) == FOVEATE_STATUS_OK)

/* Few evaluations: the least that has a mask and, with the first three alone, curves. */
#define SIDE 2
static const foveate_setting quick[] = {
    {"mask_size", "2"}, {"iterations", "1"}, {"steps", "1"}, {"no_curves", NULL}};

static foveate_request request_for(const char *image) {
    foveate_request request;
    memset(&request, 0, sizeof request);
    request.image = image;
    request.question = "What color is the star?";
    request.settings = quick;
    request.setting_count = 3;
    return request;
}

static void loading(void) {
    foveate_model model = {7};
    FAILS(foveate_load(NULL, NULL, 0, NULL), ARGUMENT, "model: expected a pointer, found NULL");
    FAILS(foveate_load("/nowhere/at/all", NULL, 0, &model), CHECKPOINT, "/nowhere/at/all");
    CHECK(model.id == 0);
    FAILS(foveate_load(NULL, NULL, 2, &model), ARGUMENT, "settings");
    FAILS(foveate_load(NULL, quick, SIZE_MAX, &model), ARGUMENT, "settings");
    FAILS(foveate_load(NULL, quick, 1, &model), SETTING, "found mask-size");
    const foveate_setting wrong[] = {{"device", "tpu"}, {NULL, "1"}, {"device", "\xff"},
                                     {"devices", "cpu"}, {"device", NULL}};
    FAILS(foveate_load(NULL, &wrong[0], 1, &model), SETTING, "auto, cpu, or cuda:N");
    FAILS(foveate_load(NULL, &wrong[1], 1, &model), ARGUMENT, "name of a setting");
    FAILS(foveate_load(NULL, &wrong[2], 1, &model), ARGUMENT, "found byte 0xff at offset 0");
    FAILS(foveate_load(NULL, &wrong[3], 1, &model), SETTING, "found devices");
    FAILS(foveate_load(NULL, &wrong[4], 1, &model), SETTING, "--device");
    CHECK(model.id == 0);
}

static void requests(foveate_model model, const char *image) {
    foveate_explanation e = {7};
    foveate_request right = request_for(image), request = right;
    FAILS(foveate_explain(model, NULL, &e), ARGUMENT, "request: expected a pointer");
    FAILS(foveate_explain(model, &request, NULL), ARGUMENT, "explanation: expected a pointer");
    CHECK(e.id == 0);

    request.question = NULL;
    FAILS(foveate_explain(model, &request, &e), ARGUMENT, "question: expected a pointer");
    request.question = "What is \xc3\x28?";
    FAILS(foveate_explain(model, &request, &e), ARGUMENT, "found byte 0xc3 at offset 8");
    request.question = "";
    FAILS(foveate_explain(model, &request, &e), QUESTION, "question");
    request = right;
    request.answer = "\xf0\x28";
    FAILS(foveate_explain(model, &request, &e), ARGUMENT, "answer: expected text in UTF-8");

    static const uint8_t grey[4 * 4 * 3] = {128};
    request = right;
    request.image = NULL;
    FAILS(foveate_explain(model, &request, &e), ARGUMENT, "found neither");
    request.pixels = grey;
    request.pixel_bytes = sizeof grey;
    request.width = request.height = 5;
    FAILS(foveate_explain(model, &request, &e), ARGUMENT, "expected 3 x 5 x 5, found 48");
    request.width = request.height = UINT32_MAX;
    FAILS(foveate_explain(model, &request, &e), ARGUMENT, "pixel_bytes");
    request.width = request.height = 0;
    request.pixel_bytes = 0;
    FAILS(foveate_explain(model, &request, &e), PICTURE, "0");
    request.image = image;
    FAILS(foveate_explain(model, &request, &e), ARGUMENT, "found both");
    request = right;
    request.image = "/nowhere/\xff.png";
    FAILS(foveate_explain(model, &request, &e), PICTURE, "/nowhere/");
    request.image = "/dev/null";
    FAILS(foveate_explain(model, &request, &e), PICTURE, "/dev/null");

    request = right;
    request.key_count = 1;
    FAILS(foveate_explain(model, &request, &e), ARGUMENT, "keys: expected a pointer");
    const size_t keys[] = {0, 1000000};
    request.keys = keys;
    request.key_count = 2;
    request.answer = "It is red.";
    FAILS(foveate_explain(model, &request, &e), ANSWER, "1000000");
    /* One byte beyond an element of the array. */
    request.keys = (const size_t *)(const void *)((const char *)keys + 1);
    request.key_count = 1;
    FAILS(foveate_explain(model, &request, &e), ARGUMENT, "a multiple of");

    const foveate_setting wrong[] = {{"steps", "0"}, {"stpes", "1"}, {"no_curves", "5"},
                                     {"memory_budget", "1"}, {"device", "cpu"}};
    const char *parts[] = {"steps: expected 1 to", "found stpes", "--no-curves", "",
                           "found device"};
    for (int i = 0; i < 5; i++) {
        request = right;
        request.settings = &wrong[i];
        request.setting_count = 1;
        foveate_status expected = i == 3 ? FOVEATE_STATUS_MEMORY : FOVEATE_STATUS_SETTING;
        check_fails(foveate_explain(model, &request, &e), expected, parts[i], __LINE__);
    }
    CHECK(e.id == 0);
}

/* What a progress function saw, and when it stops the work. */
struct seen {
    size_t calls, stop_after;
    char stages[256];
    foveate_model freed;
};

static bool watch(void *data, const char *stage, size_t done, size_t total) {
    struct seen *seen = (struct seen *)data;
    seen->calls++;
    if (done == 0 && strlen(seen->stages) + strlen(stage) + 2 < sizeof seen->stages) {
        strcat(strcat(seen->stages, stage), " ");
    }
    CHECK(total == 0 || done <= total || strcmp(stage, "answer") == 0);
    if (seen->freed.id != 0) {
        /* Other functions may be called from here; the model lives until the work ends. */
        WORKS(foveate_model_free(seen->freed));
        seen->freed.id = 0;
    }
    return seen->calls != seen->stop_after;
}

static void progress(foveate_model model, const char *image) {
    foveate_request request = request_for(image);
    foveate_explanation e;
    for (size_t stop = 1; stop < 6; stop += 2) {
        struct seen seen = {0, stop, "", {0}};
        request.progress = watch;
        request.data = &seen;
        FAILS(foveate_explain(model, &request, &e), CANCELLED, "");
        CHECK(seen.calls == stop);
        CHECK(e.id == 0);
    }
}

static void reading(foveate_explanation e, const char *folder) {
    size_t length = 0, count = 0, size = 0;
    uint32_t width = 0, height = 0;
    char text[64];

    WORKS(foveate_explanation_answer(e, NULL, 0, &length));
    WORKS(foveate_explanation_answer(e, text, sizeof text, NULL));
    CHECK(strlen(text) == length && length > 0);
    WORKS(foveate_explanation_answer(e, text, length + 1, NULL));
    length = 0;
    FAILS(foveate_explanation_answer(e, text, strlen(text), &length), BUFFER, "expected at least");
    CHECK(text[0] == '\0' && length > 0);
    FAILS(foveate_explanation_answer(e, NULL, 1, &length), ARGUMENT, "buffer");
    size_t odd[2];
    size_t *misaligned = (size_t *)(void *)((char *)odd + 1);
    FAILS(foveate_explanation_answer(e, text, sizeof text, misaligned), ARGUMENT, "length");

    FAILS(foveate_explanation_token_count(e, NULL), ARGUMENT, "count");
    WORKS(foveate_explanation_token_count(e, &count));
    CHECK(count > 0);
    foveate_token token;
    char answer[64], joined[64] = "";
    bool any_key = false;
    for (size_t i = 0; i < count; i++) {
        WORKS(foveate_explanation_token(e, i, &token));
        WORKS(foveate_explanation_token_text(e, i, text, sizeof text, NULL));
        CHECK(fabs(token.logp_image - token.logp_baseline - token.llr) < 1e-9);
        any_key = any_key || token.key;
        strncat(joined, text, sizeof joined - strlen(joined) - 1);
    }
    CHECK(any_key);
    WORKS(foveate_explanation_answer(e, answer, sizeof answer, NULL));
    CHECK(strcmp(answer, joined) == 0);
    FAILS(foveate_explanation_token(e, count, &token), ARGUMENT, "index: expected less than");
    FAILS(foveate_explanation_token(e, 0, NULL), ARGUMENT, "token");
    FAILS(foveate_explanation_token_text(e, SIZE_MAX, text, sizeof text, NULL), ARGUMENT, "index");

    const size_t cells = SIDE * SIDE;
    float mask[SIDE * SIDE + 1];
    WORKS(foveate_explanation_mask(e, NULL, 0, &size));
    CHECK(size == SIDE);
    mask[cells] = -1;
    WORKS(foveate_explanation_mask(e, mask, cells, NULL));
    CHECK(mask[0] >= 0 && mask[cells - 1] <= 1 && mask[cells] == -1);
    FAILS(foveate_explanation_mask(e, mask, cells - 1, &size), BUFFER, "expected at least 4");
    float *astray = (float *)(void *)((char *)mask + 1);
    FAILS(foveate_explanation_mask(e, astray, cells, NULL), ARGUMENT, "a multiple of 4");

    WORKS(foveate_explanation_saliency(e, NULL, 0, &width, &height));
    size_t pixels = (size_t)width * height;
    CHECK(pixels > 0);
    float *saliency = (float *)malloc(pixels * sizeof *saliency);
    if (saliency == NULL) {
        exit(3);
    }
    WORKS(foveate_explanation_saliency(e, saliency, pixels, NULL, NULL));
    /* The corner cells lie on the corner pixels. */
    CHECK(fabsf(saliency[0] - (1 - mask[0])) < 1e-6f);
    CHECK(fabsf(saliency[pixels - 1] - (1 - mask[cells - 1])) < 1e-6f);
    FAILS(foveate_explanation_saliency(e, saliency, pixels - 1, NULL, NULL), BUFFER, "values");
    free(saliency);

    WORKS(foveate_explanation_overlay(e, NULL, 0, &width, &height));
    size_t bytes = 3 * (size_t)width * height;
    CHECK(bytes >= 3 * pixels);
    uint8_t *overlay = (uint8_t *)malloc(bytes);
    if (overlay == NULL) {
        exit(3);
    }
    WORKS(foveate_explanation_overlay(e, overlay, bytes, NULL, NULL));
    FAILS(foveate_explanation_overlay(e, overlay, bytes - 1, NULL, NULL), BUFFER, "pixels");
    free(overlay);

    double fraction[100], deletion[100], insertion[100];
    WORKS(foveate_explanation_curves(e, NULL, NULL, NULL, 0, &count));
    CHECK(count > 1 && count <= 100);
    WORKS(foveate_explanation_curves(e, fraction, deletion, insertion, count, NULL));
    CHECK(fraction[0] == 0 && fraction[count - 1] == 1);
    CHECK(deletion[0] >= 0 && deletion[0] <= 1 && insertion[0] >= 0 && insertion[0] <= 1);
    FAILS(foveate_explanation_curves(e, fraction, NULL, insertion, 100, NULL), ARGUMENT,
          "deletion");
    FAILS(foveate_explanation_curves(e, fraction, deletion, insertion, 1, NULL), BUFFER,
          "fraction");
    foveate_scores scores;
    WORKS(foveate_explanation_scores(e, &scores));
    CHECK(isnan(scores.deletion) == isnan(scores.insertion));
    FAILS(foveate_explanation_scores(e, NULL), ARGUMENT, "scores");

    WORKS(foveate_explanation_json(e, NULL, 0, &length));
    char *json = (char *)malloc(length + 1);
    if (json == NULL) {
        exit(3);
    }
    WORKS(foveate_explanation_json(e, json, length + 1, NULL));
    CHECK(json[0] == '{' && strstr(json, "\"iterations\"") != NULL && json[length - 1] == '}');
    free(json);

    FAILS(foveate_explanation_save(e, NULL), ARGUMENT, "folder");
    FAILS(foveate_explanation_save(e, "/dev/null/out"), OUTPUT, "/dev/null/out");
    WORKS(foveate_explanation_save(e, folder));
}

/* An explanation that lacks a mask, and one that lacks curves. */
static void absent(foveate_model model, const char *image) {
    foveate_explanation e;
    size_t size;
    foveate_scores scores;
    foveate_setting high[] = {{"threshold", "1000"}};
    foveate_request request = request_for(image);
    request.answer = "It is red.";
    request.settings = high;
    request.setting_count = 1;
    WORKS(foveate_explain(model, &request, &e));
    FAILS(foveate_explanation_mask(e, NULL, 0, &size), ABSENT, "no mask");
    FAILS(foveate_explanation_overlay(e, NULL, 0, NULL, NULL), ABSENT, "no mask");
    FAILS(foveate_explanation_scores(e, &scores), ABSENT, "no curves");
    WORKS(foveate_explanation_free(e));
}

/* One of several threads that use a model at once: what it asks, and the mask that it finds. */
struct asker {
    foveate_model model;
    foveate_request request;
    float mask[SIDE * SIDE];
};

static void *ask(void *data) {
    struct asker *asker = (struct asker *)data;
    foveate_explanation e;
    CHECK(foveate_last_error()[0] == '\0');
    WORKS(foveate_explain(asker->model, &asker->request, &e));
    WORKS(foveate_explanation_mask(e, asker->mask, SIDE * SIDE, NULL));
    WORKS(foveate_explanation_free(e));
    FAILS(foveate_explanation_free(e), HANDLE, "freed");
    return NULL;
}

static void threads(foveate_model model, const char *image) {
    struct asker askers[2];
    pthread_t started[2];
    foveate_explanation none = {0};
    FAILS(foveate_explanation_save(none, "/nowhere"), HANDLE, "0, which is none");
    for (int i = 0; i < 2; i++) {
        askers[i].model = model;
        askers[i].request = request_for(image);
        askers[i].request.answer = "It is red.";
        askers[i].request.setting_count = 4;
        if (pthread_create(&started[i], NULL, ask, &askers[i]) != 0) {
            exit(3);
        }
    }
    for (int i = 0; i < 2; i++) {
        pthread_join(started[i], NULL);
    }
    CHECK(memcmp(askers[0].mask, askers[1].mask, sizeof askers[0].mask) == 0);
    CHECK(strstr(foveate_last_error(), "0, which is none") != NULL);
}

static void handles(foveate_model model, foveate_explanation e, const char *image) {
    const uint64_t wrong[] = {0, model.id, e.id + 1, UINT64_MAX};
    size_t count;
    for (int i = 0; i < 4; i++) {
        foveate_explanation other = {wrong[i]};
        FAILS(foveate_explanation_token_count(other, &count), HANDLE, "explanation: expected");
        if (wrong[i] != 0) {
            FAILS(foveate_explanation_free(other), HANDLE, "explanation: expected");
        }
    }
    WORKS(foveate_explanation_free(e));
    FAILS(foveate_explanation_free(e), HANDLE, "freed");
    FAILS(foveate_explanation_mask(e, NULL, 0, &count), HANDLE, "freed");
    FAILS(foveate_explanation_save(e, "/nowhere"), HANDLE, "freed");
    foveate_explanation none = {0};
    WORKS(foveate_explanation_free(none));

    /* A model that is freed while it works. */
    struct seen seen = {0, 0, "", {0}};
    seen.freed = model;
    static uint8_t pixels[40 * 30 * 3];
    foveate_request request = request_for(NULL);
    request.setting_count = 4;
    request.pixels = pixels;
    request.pixel_bytes = sizeof pixels;
    request.width = 40;
    request.height = 30;
    request.answer = "It is red.";
    const size_t keys[] = {0};
    request.keys = keys;
    request.key_count = 1;
    request.progress = watch;
    request.data = &seen;
    WORKS(foveate_explain(model, &request, &e));
    CHECK(strstr(seen.stages, "prepare ") != NULL && strstr(seen.stages, "optimise ") != NULL);
    FAILS(foveate_explanation_curves(e, NULL, NULL, NULL, 0, &count), ABSENT, "no curves");
    uint32_t width, height;
    WORKS(foveate_explanation_saliency(e, NULL, 0, &width, &height));
    CHECK(width == 40 && height == 30);

    FAILS(foveate_explain(model, &request, &e), HANDLE, "model: expected");
    FAILS(foveate_model_json(model, NULL, 0, &count), HANDLE, "freed");
    FAILS(foveate_model_free(model), HANDLE, "freed");
    request = request_for(image);
    model.id = 0;
    FAILS(foveate_explain(model, &request, &e), HANDLE, "0, which is none");
    CHECK(e.id == 0);
}

int main(int argc, char **argv) {
    if (argc != 3) {
        return 2;
    }
    CHECK(strchr(foveate_version(), '.') != NULL);
    CHECK(foveate_last_error()[0] == '\0');
    loading();
    const foveate_setting machine[] = {{"device", "cpu"}, {"threads", "1"}};
    foveate_model model;
    WORKS(foveate_load(NULL, machine, 2, &model));
    size_t length;
    char text[1024];
    WORKS(foveate_model_json(model, NULL, 0, &length));
    WORKS(foveate_model_json(model, text, sizeof text, NULL));
    CHECK(strlen(text) == length && strstr(text, "\"family\":\"llava\"") != NULL);
    requests(model, argv[1]);
    progress(model, argv[1]);
    absent(model, argv[1]);
    threads(model, argv[1]);
    foveate_request request = request_for(argv[1]);
    foveate_explanation e;
    WORKS(foveate_explain(model, &request, &e));
    reading(e, argv[2]);
    handles(model, e, argv[1]);
    return failures != 0;
}
