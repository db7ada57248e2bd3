// The portal's script. Every address comes from the page's state, absolute, as the site wrote it.
(function () {
  "use strict";
  var state = JSON.parse(document.getElementById("jsm-state").textContent);

  function json(url, body) {
    return fetch(url, {
      method: "POST",
      credentials: "same-origin",
      headers: { "Content-Type": "application/json", "Accept": "application/json" },
      body: JSON.stringify(body)
    }).then(function (answer) {
      if (!answer.ok) { throw new Error("HTTP " + answer.status); }
      return answer.json();
    });
  }

  function line(list, text) {
    var item = document.createElement("li");
    item.textContent = text;
    list.appendChild(item);
    return item;
  }

  function connect() {
    var shown = document.getElementById("connection");
    json(state.modelsUrl, {
      models: ["user", "portals"],
      options: {},
      context: { clientBasePath: window.AJS.baseUrl + "/servicedesk/customer" }
    }).then(function (models) {
      var count = models.portals.length;
      shown.textContent = "Signed in as " + models.user.displayName + ", " + count + (count === 1 ? " portal" : " portals");
    }).catch(function (error) {
      shown.textContent = "The site does not answer (" + error.message + ")";
    });
  }

  function upload(file, done) {
    var item = line(document.getElementById("uploads"), file.name + " ");
    var bar = document.createElement("progress");
    bar.max = 1;
    bar.value = 0;
    item.appendChild(bar);
    function settle(text) { bar.remove(); item.textContent = file.name + " " + text; }
    var form = new FormData();
    form.append("file", file, file.name);
    var call = new XMLHttpRequest();
    call.open("POST", state.uploadUrl);
    call.setRequestHeader("X-Atlassian-Token", "no-check");
    call.upload.onprogress = function (at) { if (at.lengthComputable) { bar.value = at.loaded / at.total; } };
    call.onerror = function () { settle("could not be sent"); };
    call.onload = function () {
      if (call.status !== 201) { settle("was refused (" + call.status + ")"); return; }
      settle("is ready");
      done(JSON.parse(call.responseText).temporaryAttachments[0].temporaryAttachmentId, item, settle);
    };
    call.send(form);
  }

  function watchFiles(done) {
    var input = document.getElementById("attachment");
    input.addEventListener("change", function () {
      Array.prototype.forEach.call(input.files, function (file) { upload(file, done); });
      input.value = "";
    });
  }

  function createPage() {
    var form = document.getElementById("create-request");
    watchFiles(function (id) {
      var field = document.createElement("input");
      field.type = "hidden";
      field.name = "temporaryAttachmentId";
      field.value = id;
      form.appendChild(field);
    });
  }

  function requestPage() {
    watchFiles(function (id, item, settle) {
      json(state.attachmentUrl, { temporaryAttachmentIds: [id], "public": true }).then(function (answer) {
        answer.attachments.values.forEach(function (file) {
          var link = document.createElement("a");
          link.href = file._links.content;
          link.textContent = file.filename;
          line(document.getElementById("attachments"), "").appendChild(link);
        });
        item.remove();
      }).catch(function (error) { settle("was refused (" + error.message + ")"); });
    });
    var form = document.getElementById("comment-form");
    form.addEventListener("submit", function (event) {
      event.preventDefault();
      var field = form.elements.comment;
      json(state.commentUrl, { body: field.value, "public": true }).then(function (comment) {
        var item = line(document.getElementById("comments"), "");
        item.className = "comment";
        var author = document.createElement("b");
        author.textContent = comment.author.displayName;
        var text = document.createElement("p");
        text.textContent = comment.body;
        item.append(author, text);
        field.value = "";
      }).catch(function () { form.submit(); });
    });
  }

  function loginPage() {
    if (state.singleSignOn) { window.location.replace(state.singleSignOn); return; }
    var form = document.getElementById("login");
    if (!form) { return; }
    form.addEventListener("submit", function (event) {
      event.preventDefault();
      json(form.dataset.url, { email: form.elements.email.value, password: form.elements.password.value }).then(function () {
        window.location.assign(form.dataset.destination);
      }).catch(function () {
        var trouble = form.querySelector(".trouble");
        trouble.textContent = "The e-mail or the password is wrong.";
        trouble.hidden = false;
      });
    });
  }

  if (state.page === "login") { loginPage(); }
  if (state.user) { connect(); }
  if (state.page === "create") { createPage(); }
  if (state.page === "request") { requestPage(); }
})();
