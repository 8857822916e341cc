/*
 * Images through a classifier that is monitored.
 */

#include "cli/cli.h"
#include "cli/monitor.h"
#include "cli/progress.h"


int
cli_monitor_run(const cli_monitor_t *m, infer_session_t *session,
    const char *what,
    int (*each)(void *arg, size_t i, infer_sample_t *sample,
                infer_error_t *err),
    void *arg, infer_error_t *err)
{
    int                 failed = 0;
    infer_image_t       prepared;
    infer_sample_t      sample;
    const cli_image_t  *image;

    cli_progress_start(what, m->set->n);

    for (size_t i = 0; !failed && i < m->set->n; i++) {
        image = &m->set->image[i];

        failed = cli_image_sample(image, m->pp, m->max_pixels, &prepared,
                                  &sample, err);
        if (failed) {
            break;
        }

        if (infer_session_set_image(session, 0, &prepared, m->pp) != 0) {
            failed = cli_fail(err, "%.400s: %dx%d pixels are not the size of "
                              "the model's input (see --preprocess)",
                              image->name, prepared.width, prepared.height);
        }

        infer_image_free(&prepared);

        if (!failed) {
            infer_sample_input(&sample, session, 0);
            infer_session_run(session, m->parallel);
            failed = each(arg, i, &sample, err);
            cli_progress(i + 1);
        }
    }

    cli_progress_end();

    return failed ? -1 : 0;
}


/* ---- recording -------------------------------------------------------- */

typedef struct {
    const cli_monitor_t  *m;
    infer_recorder_t     *rec;
    infer_session_t      *session;
} record_t;


static int
record_image(void *arg, size_t i, infer_sample_t *sample, infer_error_t *err)
{
    record_t       *r = arg;
    infer_error_t   why;

    if (infer_recorder_add(r->rec, r->session, sample,
                           r->m->labelled ? r->m->set->label[i] : SIZE_MAX,
                           &why) != 0)
    {
        return cli_fail(err, "%.200s: %.300s", r->m->set->image[i].name,
                        why.text);
    }

    return 0;
}


int
cli_monitor_record(const cli_monitor_t *m, infer_recorder_t **rec,
    infer_section_t *section, infer_error_t *err)
{
    int       failed;
    size_t    batch = cli_model_batch(m->model);
    record_t  r = { m, NULL, NULL };

    r.rec = infer_recorder_create(m->model, err);
    *rec = r.rec;

    if (r.rec == NULL) {
        return -1;
    }

    r.session = infer_session_create(m->model, batch ? batch : 1,
                                     m->parallel->slots, err);
    if (r.session == NULL) {
        return -1;
    }

    infer_recorder_watch(r.rec, r.session);

    failed = cli_monitor_run(m, r.session, "baseline", record_image, &r, err)
             || infer_recorder_again(r.rec, err)
             || cli_monitor_run(m, r.session, "baseline", record_image, &r,
                                err)
             || infer_recorder_section(r.rec, section, err);

    infer_session_free(r.session);

    return failed ? -1 : 0;
}
