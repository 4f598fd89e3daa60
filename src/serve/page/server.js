// What the server is asked.

/** Its answer. What it refuses is thrown as an error with its message. */
async function call(method, path, body) {
  let response, answer;
  try {
    response = await fetch(path, { method, body });
    answer = await response.json();
  } catch {
    throw new Error("foveate does not answer. Is it still running?");
  }
  if (!response.ok) throw new Error(answer.error);
  return answer;
}

/** Hears what becomes known of a job: `heard` has a function for each event. Returns a function that ends it. */
function follow(job, heard) {
  const source = new EventSource(`jobs/${job}/events`);
  for (const name of ["progress", "answer", "map", "end"]) {
    source.addEventListener(name, (event) => {
      if (name === "end") source.close();
      heard[name](JSON.parse(event.data));
    });
  }
  // It tries again by itself: unless nobody is there, or the job is no longer known.
  source.addEventListener("error", async () => {
    try {
      await call("GET", `jobs/${job}`);
    } catch (error) {
      if (source.readyState !== EventSource.CLOSED) heard.end({ error: error.message });
      source.close();
    }
  });
  return () => source.close();
}

/** Ends a job, and also when the page is left; that it is unknown already does not matter. */
function cancelJob(job) {
  fetch(`jobs/${job}`, { method: "DELETE", keepalive: true }).catch(() => {});
}
