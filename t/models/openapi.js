// node openapi.js URL: whether the document there is valid OpenAPI.

const parser = require('@apidevtools/swagger-parser');

fetch(process.argv[2])
    .then((res) => res.json())
    .then((doc) => (parser.default ?? parser).validate(doc))
    .catch((e) => {
        console.log(e.message);
        process.exitCode = 1;
    });
