/* Explains an answer of the built-in demo model:
 *
 *     explain IMAGE QUESTION OUT DEVICE [NAME=VALUE]...
 *
 * prints the answer, its tokens and the place that it needs most, and writes the files of
 * `foveate explain` to the folder OUT. DEVICE is auto, cpu, or cuda:N. */
#include <foveate.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MOST_SETTINGS 16

/* Says why a call failed, and returns whether it did. */
static bool failed(foveate_status status) {
    if (status != FOVEATE_STATUS_OK) {
        fprintf(stderr, "error %d: %s\n", (int)status, foveate_last_error());
    }
    return status != FOVEATE_STATUS_OK;
}

/* Shows the progress; returning false would end the work. */
static bool progress(void *data, const char *stage, size_t done, size_t total) {
    (void)data;
    fprintf(stderr, "\r%-12s %zu of %zu ", stage, done, total);
    return true;
}

static int print_answer(foveate_explanation explanation) {
    size_t length, count;
    if (failed(foveate_explanation_answer(explanation, NULL, 0, &length)) ||
        failed(foveate_explanation_token_count(explanation, &count))) {
        return 1;
    }
    char *answer = (char *)malloc(length + 1);
    if (answer == NULL ||
        failed(foveate_explanation_answer(explanation, answer, length + 1, NULL))) {
        free(answer);
        return 1;
    }
    printf("answer: %s\n", answer);
    for (size_t i = 0; i < count; i++) {
        foveate_token token;
        /* The text of a token is a part of the answer, so this buffer is large enough. */
        if (failed(foveate_explanation_token(explanation, i, &token)) ||
            failed(foveate_explanation_token_text(explanation, i, answer, length + 1, NULL))) {
            free(answer);
            return 1;
        }
        printf("%c %-12s %+.2f nats from the picture\n", token.key ? '*' : ' ', answer, token.llr);
    }
    free(answer);
    return 0;
}

static int print_place(foveate_explanation explanation) {
    size_t size;
    foveate_status status = foveate_explanation_mask(explanation, NULL, 0, &size);
    if (status == FOVEATE_STATUS_ABSENT) {
        printf("%s\n", foveate_last_error());
        return 0;
    }
    if (failed(status)) {
        return 1;
    }
    float *mask = (float *)malloc(size * size * sizeof *mask);
    if (mask == NULL || failed(foveate_explanation_mask(explanation, mask, size * size, NULL))) {
        free(mask);
        return 1;
    }
    size_t least = 0;
    for (size_t i = 1; i < size * size; i++) {
        if (mask[i] < mask[least]) {
            least = i;
        }
    }
    printf("row %zu, column %zu of %zu is needed most: mask %.2f\n", least / size, least % size,
           size, mask[least]);
    free(mask);
    return 0;
}

int main(int argc, char **argv) {
    if (argc < 5 || argc > 5 + MOST_SETTINGS) {
        fprintf(stderr, "usage: %s IMAGE QUESTION OUT DEVICE [NAME=VALUE]...\n", argv[0]);
        return 2;
    }
    foveate_setting settings[MOST_SETTINGS];
    size_t count = 0;
    for (int i = 5; i < argc; i++) {
        char *equals = strchr(argv[i], '=');
        if (equals != NULL) {
            *equals = '\0';
        }
        settings[count].name = argv[i];
        settings[count].value = equals == NULL ? NULL : equals + 1;
        count++;
    }

    foveate_setting machine[] = {{"device", argv[4]}};
    foveate_model model;
    if (failed(foveate_load(NULL, machine, 1, &model))) {
        return 1;
    }

    foveate_request request;
    memset(&request, 0, sizeof request);
    request.image = argv[1];
    request.question = argv[2];
    request.settings = settings;
    request.setting_count = count;
    request.progress = progress;

    foveate_explanation explanation;
    foveate_status status = foveate_explain(model, &request, &explanation);
    fprintf(stderr, "\n");
    int result = failed(status) || print_answer(explanation) || print_place(explanation) ||
                 failed(foveate_explanation_save(explanation, argv[3]));

    /* Frees nothing where nothing was made. */
    foveate_explanation_free(explanation);
    foveate_model_free(model);
    return result;
}
